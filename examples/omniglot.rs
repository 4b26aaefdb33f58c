//! Few-shot classification of Omniglot's characters (Likhosherstov et al. 2021), with the whole command line.
//! `OMNIGLOT` lists archives or folders of PNG files, separated as in `PATH`:
//!
//! ```text
//! export OMNIGLOT=images_background_small1.zip:images_background_small2.zip
//! cargo run --release --example omniglot -- run omniglot --dtype f32 --estimator ufom:adaptive=1 --oracle-calls 50000
//! cargo run --release --example omniglot -- study examples/omniglot.toml --out DIR
//! ```
//!
//! One fifth of the characters is unseen; each seen character becomes four classes by rotation. The inner loop takes 9
//! steps of size 0.025 on mean losses, which equals 0.005 on the paper's sums over 5 images. The paper's outer step
//! size decays over 200 000 iterations. For a few hundred iterations it is 0.001, with Adam, here. The paper trains 64
//! filters per layer and these problems 32, which is a quarter of the work.

use std::env;
use std::process::ExitCode;

use hypertape::problems::{
    Entry, Fewshot, FewshotSettings, ImageClasses, Learner, Made, catalogue,
};
use hypertape::{Element, Optimiser, Oracle, Unary};

fn omniglot<T: Element>(seed: u64, learner: Learner) -> Made<T> {
    let paths = env::var_os("OMNIGLOT").unwrap_or_default();
    let paths: Vec<_> = env::split_paths(&paths).collect();
    let all = ImageClasses::<T>::from_files(&paths, 28)?;
    let [seen, unseen] = all.split(all.len() * 4 / 5, seed);
    let settings = FewshotSettings {
        layers: 4,
        filters: 32,
        activation: Unary::Relu,
        learner,
        judged: 300,
        seed,
        ..FewshotSettings::default()
    };
    Oracle::new(Fewshot::new([seen.rotated(), unseen], settings)?)
}

fn digits<T: Element>(seed: u64) -> Made<T> {
    let learner = Learner::Reptile;
    Oracle::new(Fewshot::digits(FewshotSettings { learner, seed, ..FewshotSettings::default() })?)
}

fn main() -> ExitCode {
    let adam = |lr| Optimiser::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    let of = |entry| Entry { outer: adam(1e-3), iterations: 500, data_seed: Some(0), ..entry };
    let omniglot = |name, summary, learner| {
        let entry =
            Entry::new(name, summary, (9, 0.025), move |given| omniglot(given.seed, learner));
        of(entry.single(move |given| omniglot(given.seed, learner)))
    };
    let mut all = catalogue();
    all.push(omniglot(
        "omniglot",
        "learned start of a 4-layer convolutional network, 5 characters by 1 image each",
        Learner::Maml,
    ));
    all.push(omniglot(
        "omniglot-reptile",
        "the same start, moved towards where tasks end; by first-order",
        Learner::Reptile,
    ));
    let entry = Entry::new("digits-reptile", "the same on digits", (9, 0.05), |g| digits(g.seed));
    all.push(Entry { outer: adam(3e-3), ..of(entry.single(|g| digits(g.seed))) });
    hypertape::cli::main(&all)
}
