//! The encoding of a plan: little-endian fields without padding, strings with their NUL so that the kernel can be
//! given them where they lie.
//!
//! Runs in the runtime (encode) and in init (decode). Decoding never allocates and never reads out of bounds;
//! whatever doesn't fit is `None`.

use core::ffi::CStr;

#[cfg(feature = "std")]
use std::ffi::CString;

/// Reads an encoded plan from its front.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Whether all was read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value of a field, for printing.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A flag.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// Nothing worth a word.
    None,
}

/// A type that a step's field can have.
pub trait Field {
    /// What init sees of it: borrowed from the encoded plan.
    type Ref<'a>;

    /// Reads one.
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<Self::Ref<'a>>;

    /// Appends it.
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>);

    /// For printing.
    #[cfg(feature = "std")]
    fn value(&self) -> Value;
}

macro_rules! number_field {
    ($($number:ty),*) => {$(
        impl Field for $number {
            type Ref<'a> = $number;
            fn decode<'a>(reader: &mut Reader<'a>) -> Option<$number> {
                Some(<$number>::from_le_bytes(reader.array()?))
            }
            #[cfg(feature = "std")]
            fn encode(&self, out: &mut Encoder<'_>) {
                out.bytes.extend_from_slice(&self.to_le_bytes());
            }
            #[cfg(feature = "std")]
            fn value(&self) -> Value {
                Value::Number(*self as i64)
            }
        }
    )*};
}
number_field!(u8, u16, u32, u64, i32, i64);

impl Field for bool {
    type Ref<'a> = bool;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<bool> {
        match u8::decode(reader)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        out.bytes.push((*self).into());
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::Flag(*self)
    }
}

/// A C string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Str(#[cfg(feature = "std")] pub CString);

#[cfg(feature = "std")]
impl From<&str> for Str {
    /// Cuts at a NUL: the configuration's types have none.
    fn from(text: &str) -> Self {
        let end = text.bytes().position(|byte| byte == 0).unwrap_or(text.len());
        Self(CString::new(&text.as_bytes()[..end]).unwrap_or_default())
    }
}

#[cfg(feature = "std")]
impl std::fmt::Display for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_string_lossy())
    }
}

impl Field for Str {
    type Ref<'a> = &'a CStr;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<&'a CStr> {
        let length = u32::decode(reader)? as usize;
        CStr::from_bytes_with_nul(reader.take(length.checked_add(1)?)?).ok()
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (self.0.as_bytes().len() as u32).encode(out);
        out.bytes.extend_from_slice(self.0.as_bytes_with_nul());
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::Text(self.to_string())
    }
}

/// C strings in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strs(#[cfg(feature = "std")] pub Vec<Str>);

/// C strings that lie in an encoded plan.
#[derive(Clone, Copy)]
pub struct StrsRef<'a> {
    count: usize,
    reader: Reader<'a>,
}

impl StrsRef<'_> {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.count
    }
}

impl<'a> Iterator for StrsRef<'a> {
    type Item = &'a CStr;
    fn next(&mut self) -> Option<&'a CStr> {
        self.count = self.count.checked_sub(1)?;
        Str::decode(&mut self.reader)
    }
}

impl Field for Strs {
    type Ref<'a> = StrsRef<'a>;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<StrsRef<'a>> {
        let count = u32::decode(reader)? as usize;
        let length = u32::decode(reader)? as usize;
        Some(StrsRef { count, reader: Reader::new(reader.take(length)?) })
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (self.0.len() as u32).encode(out);
        let length = self.0.iter().map(|text| 4 + text.0.as_bytes_with_nul().len()).sum::<usize>();
        (length as u32).encode(out);
        self.0.iter().for_each(|text| text.encode(out));
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::List(self.0.iter().map(Str::to_string).collect())
    }
}

/// Bytes as they are: a BPF program, a list of group ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(#[cfg(feature = "std")] pub Vec<u8>);

impl Field for Bytes {
    type Ref<'a> = &'a [u8];
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        let length = u32::decode(reader)? as usize;
        reader.take(length)
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (self.0.len() as u32).encode(out);
        out.bytes.extend_from_slice(&self.0);
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::Text(format!("{} bytes", self.0.len()))
    }
}

/// Numbers of 32 bits, as the kernel takes an array of group ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(#[cfg(feature = "std")] pub Vec<u32>);

impl Field for Words {
    type Ref<'a> = &'a [u8];
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        Bytes::decode(reader)
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (4 * self.0.len() as u32).encode(out);
        self.0.iter().for_each(|word| word.encode(out));
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::List(self.0.iter().map(u32::to_string).collect())
    }
}

macro_rules! bits_field {
    ($(#[$doc:meta])* $name:ident($number:ty) { $($bit:expr => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub $number);

        impl Field for $name {
            type Ref<'a> = $name;
            fn decode<'a>(reader: &mut Reader<'a>) -> Option<$name> {
                Some($name(<$number>::decode(reader)?))
            }
            #[cfg(feature = "std")]
            fn encode(&self, out: &mut Encoder<'_>) {
                self.0.encode(out);
            }
            #[cfg(feature = "std")]
            fn value(&self) -> Value {
                if self.0 == 0 {
                    return Value::None;
                }
                let (mut bits, mut words) = (self.0, Vec::new());
                $(if bits & $bit == $bit {
                    bits &= !$bit;
                    words.push($text.to_owned());
                })*
                if bits != 0 {
                    words.push(format!("{bits:#x}"));
                }
                Value::Text(words.join(","))
            }
        }
    };
}

bits_field! {
    /// `MOUNT_ATTR_*` bits.
    MountAttributes(u64) {
        0x1 => "ro", 0x2 => "nosuid", 0x4 => "nodev", 0x8 => "noexec", 0x70 => "atime",
        0x10 => "noatime", 0x20 => "strictatime", 0x80 => "nodiratime", 0x10_0000 => "idmap",
        0x20_0000 => "nosymfollow",
    }
}

bits_field! {
    /// `LANDLOCK_ACCESS_FS_*`
    FileAccess(u64) {
        0x1 => "execute", 0x2 => "write-file", 0x4 => "read-file", 0x8 => "read-dir", 0x10 => "remove-dir",
        0x20 => "remove-file", 0x40 => "make-char", 0x80 => "make-dir", 0x100 => "make-reg", 0x200 => "make-sock",
        0x400 => "make-fifo", 0x800 => "make-block", 0x1000 => "make-sym", 0x2000 => "refer", 0x4000 => "truncate",
        0x8000 => "ioctl-dev",
    }
}

bits_field! {
    /// `MS_SHARED` and so on, with `MS_REC`.
    PropagationFlags(u64) {
        1 << 14 => "rec", 1 << 17 => "unbindable", 1 << 18 => "private", 1 << 19 => "slave", 1 << 20 => "shared",
    }
}

bits_field! {
    /// `CLONE_NEW*` bits.
    NamespaceFlags(u64) {
        0x80 => "time", 0x2_0000 => "mount", 0x0200_0000 => "cgroup", 0x0400_0000 => "uts",
        0x0800_0000 => "ipc", 0x1000_0000 => "user", 0x2000_0000 => "pid", 0x4000_0000 => "network",
    }
}

/// Propagation types to be set one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Propagations(#[cfg(feature = "std")] pub Vec<PropagationFlags>);

/// Propagation types that lie in an encoded plan.
#[derive(Clone, Copy)]
pub struct PropagationsRef<'a>(Reader<'a>);

impl Iterator for PropagationsRef<'_> {
    type Item = PropagationFlags;
    fn next(&mut self) -> Option<PropagationFlags> {
        PropagationFlags::decode(&mut self.0)
    }
}

impl Field for Propagations {
    type Ref<'a> = PropagationsRef<'a>;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<PropagationsRef<'a>> {
        Some(PropagationsRef(Reader::new(Bytes::decode(reader)?)))
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (8 * self.0.len() as u32).encode(out);
        self.0.iter().for_each(|flags| flags.encode(out));
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        let text = |flags: &PropagationFlags| match flags.value() {
            Value::Text(text) => text,
            _ => String::new(),
        };
        Value::List(self.0.iter().map(text).collect())
    }
}

/// A set of capabilities, as a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilityMask(pub u64);

impl Field for CapabilityMask {
    type Ref<'a> = Self;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self(u64::decode(reader)?))
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        self.0.encode(out);
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::Text(format!("{:#x}", self.0))
    }
}

/// A descriptor that init inherits. In a plan it has a name; in the encoded plan it is the number that it has
/// in the launching process (−1: there is none).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(feature = "std"), allow(dead_code))]
pub enum Descriptor {
    /// The socket to the runtime.
    Channel,
    /// The listening socket on which a created container waits.
    Gate,
    /// The socket to which the terminal's master goes.
    Console,
    /// `cgroup.procs` of the nth v1 hierarchy.
    CgroupProcs(u16),
    /// The namespace at this index of `/linux/namespaces`.
    Namespace(u16),
    /// A process whose namespaces are joined.
    Process,
    /// The nth mount that the runtime has cloned and id-mapped.
    Tree(u16),
    /// An executable opened beforehand.
    Program,
    /// There is none.
    Absent,
    /// What a hook reads.
    Input,
    /// Where a hook writes.
    Output,
    /// The nth of those that a program other than the container's gets.
    Passed(u16),
    /// What becomes descriptor n: a stream (0, 1, 2), or what the caller gives after them.
    Stream(u16),
}

#[cfg(feature = "std")]
impl std::fmt::Display for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Channel => f.write_str("channel"),
            Self::Gate => f.write_str("gate"),
            Self::Console => f.write_str("console"),
            Self::CgroupProcs(index) => write!(f, "cgroup-procs-{index}"),
            Self::Namespace(index) => write!(f, "namespace-{index}"),
            Self::Process => f.write_str("process"),
            Self::Tree(index) => write!(f, "tree-{index}"),
            Self::Program => f.write_str("program"),
            Self::Absent => f.write_str("none"),
            Self::Input => f.write_str("input"),
            Self::Output => f.write_str("output"),
            Self::Passed(index) => write!(f, "passed-{index}"),
            Self::Stream(index) => write!(f, "stream-{index}"),
        }
    }
}

impl Field for Descriptor {
    type Ref<'a> = i32;
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<i32> {
        i32::decode(reader)
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        let number = out.descriptors.iter().find(|(name, _)| name == self).map_or(-1, |(_, number)| *number);
        number.encode(out);
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        if *self == Self::Absent { Value::None } else { Value::Text(self.to_string()) }
    }
}

/// Descriptors in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors(#[cfg(feature = "std")] pub Vec<Descriptor>);

impl Field for Descriptors {
    type Ref<'a> = &'a [u8];
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        Bytes::decode(reader)
    }
    #[cfg(feature = "std")]
    fn encode(&self, out: &mut Encoder<'_>) {
        (4 * self.0.len() as u32).encode(out);
        self.0.iter().for_each(|descriptor| descriptor.encode(out));
    }
    #[cfg(feature = "std")]
    fn value(&self) -> Value {
        Value::List(self.0.iter().map(Descriptor::to_string).collect())
    }
}

/// Where a plan's encoding is collected.
#[cfg(feature = "std")]
#[derive(Debug, Default)]
pub struct Encoder<'a> {
    /// What was encoded so far.
    pub bytes: Vec<u8>,
    /// The numbers of the descriptors that plan names.
    pub descriptors: &'a [(Descriptor, i32)],
}
