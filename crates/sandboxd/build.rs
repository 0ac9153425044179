//! Tells the binary which commit it was built from: `SANDBOXD_COMMIT`, else what git says, else `unknown`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SANDBOXD_COMMIT");
    let commit = match std::env::var("SANDBOXD_COMMIT") {
        Ok(commit) => commit,
        Err(_) => {
            if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
                println!("cargo::rerun-if-changed={log}");
            }
            git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
        }
    };
    println!("cargo::rustc-env=SANDBOXD_COMMIT={commit}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
