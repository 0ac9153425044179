//! Compiles `init`, the freestanding program that every container starts as, with the compiler that builds this crate.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let source = Path::new(init::SOURCE_DIRECTORY);
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-changed=build.rs");
    let output = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("init");
    let mut compiler = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compiler
        .args(["--edition", "2024", "--crate-name", "sandbox_init", "--crate-type", "bin"])
        .args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "codegen-units=1", "-C", "strip=symbols"])
        .args(["-C", "relocation-model=static", "-C", "force-unwind-tables=no"])
        // No C run-time files, no libraries; one file of code and data, without the gaps of page-aligned segments.
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args([
            "-C",
            "link-arg=-no-pie",
            "-C",
            "link-arg=-Wl,--build-id=none,-z,noseparate-code,--gc-sections",
        ])
        // The same bytes wherever the sources are.
        .arg(format!("--remap-path-prefix={}=init", source.display()))
        .arg("--target")
        .arg(env::var_os("TARGET").unwrap_or_default())
        .arg("-o")
        .arg(&output)
        .arg(source.join("main.rs"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = std::ffi::OsString::from("linker=");
        argument.push(linker);
        compiler.arg("-C").arg(argument);
    }
    match compiler.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("compiling init: {status}"),
        Err(error) => panic!("running the compiler for init: {error}"),
    }
}
