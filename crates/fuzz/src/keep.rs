//! Corpora in directories: all that reached something new, or as few and as short inputs as reach the most.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;

/// An input that was worth keeping when it came.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) bytes: Vec<u8>,
    /// The features that it reaches.
    pub(crate) reached: Vec<(u32, u8)>,
}

/// What is kept in the repository of a target, at most.
const MOST_INPUTS: usize = 24;
const MOST_BYTES_EACH: usize = 2048;

/// Replaces the files of a directory by inputs.
pub(crate) fn write<'a>(directory: &Path, corpus: impl IntoIterator<Item = &'a Input>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(directory)? {
        let file = entry?.path();
        if file.is_file() {
            fs::remove_file(file)?;
        }
    }
    for input in corpus {
        fs::write(directory.join(format!("{:016x}", hash(&input.bytes))), &input.bytes)?;
    }
    Ok(())
}

/// As few inputs as reach the most: the next is always the one that adds most for its length.
pub(crate) fn reduce(corpus: &[Input]) -> Vec<&Input> {
    let mut left: Vec<&Input> = corpus
        .iter()
        .filter(|input| !input.bytes.is_empty() && input.bytes.len() <= MOST_BYTES_EACH)
        .collect();
    let mut reached: HashSet<(u32, u8)> = HashSet::new();
    let mut kept = Vec::new();
    while kept.len() < MOST_INPUTS {
        let gain = |input: &Input| {
            let new = input.reached.iter().filter(|feature| !reached.contains(feature)).count();
            (new as f64 / (64.0 + input.bytes.len() as f64), new)
        };
        let best =
            left.iter().enumerate().max_by(|(_, one), (_, other)| gain(one).0.total_cmp(&gain(other).0));
        let Some((index, best)) = best.map(|(index, best)| (index, *best)) else { break };
        if gain(best).1 == 0 {
            break;
        }
        reached.extend(&best.reached);
        kept.push(best);
        left.swap_remove(index);
    }
    kept
}

/// A name for an input.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_corpus_reaches_the_same() {
        let input = |bytes: &[u8], places: &[u32]| Input {
            bytes: bytes.to_vec(),
            reached: places.iter().map(|place| (*place, 1)).collect(),
        };
        let corpus = [input(b"a", &[1]), input(b"bb", &[1, 2, 3]), input(b"c", &[3]), input(b"d", &[4])];
        let kept: Vec<_> = reduce(&corpus).iter().map(|input| input.bytes.as_slice()).collect();
        assert_eq!(kept, [b"bb".as_slice(), b"d"]);
    }
}
