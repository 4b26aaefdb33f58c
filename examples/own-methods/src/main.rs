//! The command line of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    own_methods::app(&own_methods::problems()).main()
}
