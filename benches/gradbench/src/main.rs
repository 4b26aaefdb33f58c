//! Answers the messages of an eval until the input ends, see the library.

use std::io::{Write, stdin, stdout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in stdin().lines() {
        writeln!(stdout(), "{}", hypertape_gradbench::answer(&line?)?)?;
    }
    Ok(())
}
