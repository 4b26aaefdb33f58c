//! Parts of `--help` beyond the options: headings, and examples that a test runs.

pub(crate) const INNER: &str = "Inner loop";
pub(crate) const OUTER: &str = "Outer loop";
pub(crate) const MEMORY: &str = "Memory and precision";
pub(crate) const DATA: &str = "Data";
pub(crate) const OUTPUT: &str = "Output";

pub(crate) const FIRST: &str = "\
Examples:
  hypertape problems
  hypertape gradient ridge --estimator exact --estimator cg
  hypertape gradient --help";

pub(crate) const ESTIMATORS: &str = "\
Examples:
  hypertape estimators
  hypertape estimators ufom";

pub(crate) const ALGORITHMS: &str = "\
Examples:
  hypertape algorithms
  hypertape algorithms soba";

pub(crate) const GRADIENT: &str = "\
Columns: |gradient| is the norm. steps, gradients and HVPs count inner steps, inner gradients and Hessian-vector products, bytes \
is the peak memory of the estimate, and time the median of --repeat. / primal is this time divided by that of the inner loop and \
the outer loss alone; for loops of a few milliseconds it is noisy: give --repeat 20.

Examples:
  hypertape gradient quadratic
  hypertape gradient ridge --steps 100 --rule adam --estimator exact --estimator truncated:k=10
  hypertape gradient ridge --memory 32KiB
  hypertape gradient digits-penalty --train samples.csv --label class --steps 10";

pub(crate) const CHECK: &str = "\
The check is made near the start, or at the point of --at, over at most 10 inner steps, or --steps.

Examples:
  hypertape check ridge";

pub(crate) const CERTIFY: &str = "\
Examples:
  hypertape certify quadratic --estimator ufom:q=0.5 --draws 50";

pub(crate) const PLAN: &str = "\
Examples:
  hypertape plan ridge --memory 32KiB";

pub(crate) const RUN: &str = "\
Examples:
  hypertape run quadratic --iterations 10
  hypertape run quadratic-sampled --algorithm saba:step=0.3 --iterations 2000
  hypertape run quadratic --iterations 10 --outer adam:b1=0.8 --outer-lr 0.05 --save results
  hypertape run quadratic --iterations 20 --outer adam:b1=0.8 --outer-lr 0.05 --resume results";

pub(crate) const STUDY: &str = "\
Cells that are recorded are not run again, and neither are those that diverged or were over --memory, since they would fail \
again. Cells that failed otherwise (by a limit of --cell-time or --cell-memory, a killed process, a full disk, a missing file) are \
run again.

Examples:
  hypertape study study.toml --dry-run
  hypertape study study.toml --out before
  hypertape study report before";

pub(crate) const COMPARE: &str = "\
Examples:
  hypertape compare before before";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  hypertape completions bash";
