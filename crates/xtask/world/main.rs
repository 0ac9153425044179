//! What the example bundles run: a static program of many names that shows the world it finds itself in.
//!
//! Runs as the container's process, in a root file system that need hold nothing else: no shell, no library.
//! The name it is called by (or its first argument) selects what it does.

mod hello;
mod limits;
mod pod;
mod shell;

use std::path::Path;
use std::process::ExitCode;

/// The names that it answers to.
const NAMES: &[&str] =
    &["ask", "cat", "echo", "false", "hello", "hostname", "limits", "ls", "serve", "sh", "sleep", "true"];

fn main() -> ExitCode {
    let mut words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if name_of(&words) == "world" {
        words.remove(0);
    }
    let Some(first) = words.first() else {
        println!("{}", NAMES.join("\n"));
        return ExitCode::SUCCESS;
    };
    match run(&name_of(&words), &words[1..]) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{first}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn name_of(words: &[String]) -> String {
    let first = words.first().map_or("", String::as_str);
    Path::new(first).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs one of the names with its arguments.
fn run(name: &str, arguments: &[String]) -> std::io::Result<ExitCode> {
    let first = || arguments.first().map(String::as_str);
    match name {
        "true" => {}
        "false" => return Ok(ExitCode::FAILURE),
        "hello" => hello::show(),
        "limits" => limits::show(),
        "serve" => pod::serve(first().unwrap_or("127.0.0.1:7000"))?,
        "ask" => pod::ask(first().unwrap_or("127.0.0.1:7000"))?,
        "sh" => return shell::read_and_run(),
        "echo" => println!("{}", arguments.join(" ")),
        "hostname" => print!("{}", std::fs::read_to_string("/proc/sys/kernel/hostname")?),
        "cat" => {
            for file in arguments {
                std::io::copy(&mut std::fs::File::open(file)?, &mut std::io::stdout())?;
            }
        }
        "ls" => {
            for entry in std::fs::read_dir(first().unwrap_or("."))? {
                println!("{}", entry?.file_name().to_string_lossy());
            }
        }
        "sleep" => {
            let seconds = first().and_then(|text| text.parse().ok()).unwrap_or(f64::MAX).min(1e9);
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds.max(0.0)));
        }
        _ => return Err(std::io::Error::other("one of: ".to_owned() + &NAMES.join(" "))),
    }
    Ok(ExitCode::SUCCESS)
}
