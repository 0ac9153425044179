//! Programs of a few bytes, for architectures that a test's machine may have no compiler for: static ELF files of one
//! segment that make one system call and exit with its errno, 0 where it succeeds (x86).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Where the file is mapped.
const BASE: u32 = 0x0040_0000;

/// How the call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `syscall` of a 64-bit program; x32's calls have bit 30 set in their number.
    Native,
    /// `int 0x80` of a 32-bit program: the calls of i386.
    I386,
    /// `int 0x80` of a 64-bit program: the calls of i386, too.
    I386FromNative,
}

/// An argument of the call.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    /// A number.
    Number(i64),
    /// The address of a text.
    Text(&'a str),
}

/// The program that makes system call `number`, as an ELF file (elf(5)). At most five arguments; of i386, three.
#[must_use]
pub fn program(way: Way, number: u32, arguments: &[Argument<'_>]) -> Vec<u8> {
    let header = if way == Way::I386 { 52 + 32 } else { 64 + 56 };
    // Texts stand before the code, so that their addresses are known.
    let mut image = vec![0; header];
    let mut values = Vec::new();
    for argument in arguments {
        values.push(match *argument {
            Argument::Number(number) => number,
            Argument::Text(text) => {
                let at = i64::from(BASE) + image.len() as i64;
                image.extend_from_slice(text.as_bytes());
                image.push(0);
                at
            }
        });
    }
    let entry = BASE + image.len() as u32;
    let native = [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8]];
    for (index, value) in values.into_iter().enumerate() {
        if way == Way::Native {
            // movabs to rdi, rsi, rdx, r10, r8.
            image.extend_from_slice(&native[index]);
            image.extend_from_slice(&value.to_le_bytes());
        } else {
            // mov to ebx, ecx, edx.
            image.push([0xbb, 0xb9, 0xba][index]);
            image.extend_from_slice(&(value as i32).to_le_bytes());
        }
    }
    image.push(0xb8); // mov eax, number
    image.extend_from_slice(&number.to_le_bytes());
    image.extend_from_slice(if way == Way::Native { &[0x0f, 0x05] } else { &[0xcd, 0x80] });
    // test eax, eax; jns +4; neg eax; jmp +2; xor eax, eax.
    image.extend_from_slice(&[0x85, 0xc0, 0x79, 0x04, 0xf7, 0xd8, 0xeb, 0x02, 0x31, 0xc0]);
    if way == Way::I386 {
        // mov ebx, eax; mov eax, exit; int 0x80.
        image.extend_from_slice(&[0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
    } else {
        // mov edi, eax; mov eax, exit; syscall.
        image.extend_from_slice(&[0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    }
    let header = if way == Way::I386 { header_32(entry, image.len()) } else { header_64(entry, image.len()) };
    image[..header.len()].copy_from_slice(&header);
    image
}

/// Writes the program to a file that may be executed.
///
/// # Panics
/// When the file system refuses.
pub fn write_program(path: &Path, way: Way, number: u32, arguments: &[Argument<'_>]) {
    fs::write(path, program(way, number, arguments)).expect("write a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

const READ_AND_EXECUTE: u32 = 5;

fn header_64(entry: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half =
        |bytes: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
    let long =
        |bytes: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
    half(&mut bytes, &[2, 62]);
    bytes.extend(1_u32.to_le_bytes());
    long(&mut bytes, &[entry.into(), 64, 0]);
    bytes.extend(0_u32.to_le_bytes());
    half(&mut bytes, &[64, 56, 1, 0, 0, 0]);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(READ_AND_EXECUTE.to_le_bytes());
    let length = length as u64;
    long(&mut bytes, &[0, BASE.into(), BASE.into(), length, length, 4096]);
    bytes
}

fn header_32(entry: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half =
        |bytes: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
    let word =
        |bytes: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|it| bytes.extend(it.to_le_bytes()));
    half(&mut bytes, &[2, 3]);
    word(&mut bytes, &[1, entry, 52, 0, 0]);
    half(&mut bytes, &[52, 32, 1, 0, 0, 0]);
    let length = length as u32;
    word(&mut bytes, &[1, 0, BASE, BASE, length, length, READ_AND_EXECUTE, 4096]);
    bytes
}
