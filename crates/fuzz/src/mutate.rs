//! Inputs from inputs.

/// Longest input: what reads is linear in it, or should be.
pub(crate) const MOST_BYTES: usize = 16 * 1024;

/// Numbers without a pattern (xorshift64*), the same for the same seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`; 0 where that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }
}

/// Values at the edges of types.
const EDGES: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
];

/// Words that parsers look at.
const WORDS: [&str; 22] = [
    "null", "true", "false", "{}", "[]", "\"\"", "\\u0000", "\\ud800", "/", "..", ".", "/..", "//", "\n",
    "\t", ",", ":", " ", "-", "\\", "\u{0}", "\u{fffd}",
];

/// Words of the inputs themselves: what stands between quotes, and numbers.
#[derive(Debug, Default)]
pub(crate) struct Dictionary(Vec<Vec<u8>>);

impl Dictionary {
    pub(crate) fn learn(&mut self, input: &[u8]) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-".contains(byte);
        for word in input.split(|byte| !is_word(byte)) {
            if (2..40).contains(&word.len())
                && self.0.len() < 4096
                && !self.0.iter().any(|known| known == word)
            {
                self.0.push(word.to_vec());
            }
        }
    }

    fn pick(&self, random: &mut Random) -> Vec<u8> {
        match random.below(4) {
            0 => EDGES[random.below(EDGES.len())].into(),
            1 => WORDS[random.below(WORDS.len())].into(),
            _ if self.0.is_empty() => vec![random.next() as u8],
            _ => self.0[random.below(self.0.len())].clone(),
        }
    }
}

/// A new input from one that is known, and another.
pub(crate) fn mutate(input: &[u8], other: &[u8], dictionary: &Dictionary, random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        mutate_once(&mut bytes, other, dictionary, random);
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

fn mutate_once(bytes: &mut Vec<u8>, other: &[u8], dictionary: &Dictionary, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 => bytes.insert(at, random.next() as u8),
        3 => _ = bytes.drain(at..piece(bytes, at, random)),
        4 => {
            let copy = bytes[at..piece(bytes, at, random)].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        5 => {
            let from = random.below(other.len() + 1);
            let end = piece(other, from, random);
            bytes.splice(at..at, other[from..end].iter().copied());
        }
        6 => _ = bytes.splice(at..at, dictionary.pick(random)),
        7 | 8 => {
            let end = word_end(bytes, at);
            bytes.splice(at..end, dictionary.pick(random));
        }
        _ => {
            // A number in place: lengths and counts of binary forms.
            let value = [0, 1, 3, 4, 0x7f, 0xff, 0xffff, u64::MAX, bytes.len() as u64][random.below(9)];
            let width = [1, 2, 4, 8][random.below(4)];
            for (byte, new) in bytes[at..].iter_mut().zip(value.to_le_bytes()).take(width) {
                *byte = new;
            }
        }
    }
}

/// The end of a piece that begins at `at`: most are short.
fn piece(bytes: &[u8], at: usize, random: &mut Random) -> usize {
    let left = bytes.len() - at;
    let most = if random.below(4) == 0 { left } else { left.min(24) };
    at + random.below(most + 1)
}

/// The end of the word, the number or the sign that begins at `at`.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let length = bytes[at..].iter().take_while(|byte| is_word(byte)).count();
    (at + length.max(1)).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutation_never_fails_and_is_repeatable() {
        let mut dictionary = Dictionary::default();
        dictionary.learn(br#"{"ociVersion": "1.0.2", "linux": {}}"#);
        let outputs = |seed| {
            let mut random = Random::new(seed);
            let mut bytes = Vec::new();
            (0..2000)
                .map(|_| {
                    bytes = mutate(&bytes, b"other", &dictionary, &mut random);
                    bytes.clone()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(outputs(7), outputs(7));
        assert_ne!(outputs(7), outputs(8));
    }
}
