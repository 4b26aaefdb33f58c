//! The `hypertape` command line over the catalogue of problems.

use std::process::ExitCode;

fn main() -> ExitCode {
    hypertape::cli::main(&hypertape::problems::catalogue())
}
