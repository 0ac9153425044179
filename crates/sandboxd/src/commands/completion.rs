//! `completion`

use crate::args::{self, PROGRAM, about::Completion};
use crate::error::Result;

pub(crate) fn completion(arguments: &Completion) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut args::whole_program(), PROGRAM, &mut script);
    crate::print(&String::from_utf8_lossy(&script))
}
