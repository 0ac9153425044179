//! `serve` and `ask`: two containers of a pod that talk over their shared loopback interface.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::hello::namespaces;

/// Answers each connection with the host name and the namespaces.
pub(crate) fn serve(address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        stream?.write_all(report()?.as_bytes())?;
    }
    Ok(())
}

/// Prints the other's answer and its own.
pub(crate) fn ask(address: &str) -> std::io::Result<()> {
    let mut answer = String::new();
    TcpStream::connect(address)?.read_to_string(&mut answer)?;
    let own = report()?;
    print!("the other\n{answer}this one\n{own}");
    let shared = answer.lines().filter(|line| line.contains(":[") && own.contains(line));
    println!("shared    {}", shared.collect::<Vec<_>>().join(" "));
    Ok(())
}

fn report() -> std::io::Result<String> {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(format!("{}\n{}\n", hostname.trim(), namespaces().join("\n")))
}
