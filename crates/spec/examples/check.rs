//! `cargo run -p sandbox-spec --example check -- FILE…`: what is wrong with each `config.json`, and what is odd.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in std::env::args().skip(1) {
        let checked = match std::fs::read(&file) {
            Ok(bytes) => spec::parse_config(&bytes).map_err(|violations| violations.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match checked {
            Ok(parsed) => {
                println!("{file}: valid");
                parsed.warnings.iter().for_each(|warning| println!("  warning: {warning}"));
            }
            Err(violations) => {
                println!("{file}: not valid");
                violations.lines().for_each(|line| println!("  {line}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
