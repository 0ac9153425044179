//! `sh`: a prompt that runs the other names and nothing more, for a root file system without busybox.

use std::io::Write;
use std::process::ExitCode;

/// Reads lines until the end or `exit`.
pub(crate) fn read_and_run() -> std::io::Result<ExitCode> {
    loop {
        print!("$ ");
        std::io::stdout().flush()?;
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match words.split_first() {
            None => {}
            Some((name, _)) if name == "exit" => return Ok(ExitCode::SUCCESS),
            Some((name, arguments)) => {
                if let Err(error) = crate::run(name, arguments) {
                    println!("{name}: {error}");
                }
            }
        }
    }
}
