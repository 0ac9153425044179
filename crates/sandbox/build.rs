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
        // Each page of it is copied for every container. With lto also what the panics of `core` would print goes.
        .args(["-C", "panic=abort", "-C", "opt-level=z", "-C", "lto=fat", "-C", "codegen-units=1"])
        .args(["-C", "strip=symbols", "-C", "relocation-model=static", "-C", "force-unwind-tables=no"])
        // No C run-time files, no libraries; one segment, as the linker's script has it.
        .args(
            ["-nostartfiles", "-nostdlib", "-static", "-no-pie"]
                .map(|argument| format!("-Clink-arg={argument}")),
        )
        .arg("-Clink-arg=-Wl,--build-id=none,-z,noseparate-code,-z,norelro,--gc-sections")
        .arg(format!("-Clink-arg=-Wl,-T,{}", source.join("init.ld").display()))
        // The same bytes wherever the sources are.
        .arg(format!("--remap-path-prefix={}=init", source.display()))
        .arg("--target")
        .arg(env::var_os("TARGET").unwrap_or_default())
        .arg("-o")
        .arg(&output)
        .arg(source.join("main.rs"));
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        // Nor those that come with the compiler.
        compiler.args(["-C", "link-self-contained=no"]);
    }
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
