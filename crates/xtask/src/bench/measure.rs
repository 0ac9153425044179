//! Timing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Result;

/// How long something took, each time.
#[derive(Debug)]
pub(super) struct Sample(Vec<Duration>);

impl Sample {
    /// The middle one, in microseconds.
    pub(super) fn median_us(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        let middle = |index: usize| sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
        f64::midpoint(middle((sorted.len().max(1) - 1) / 2), middle(sorted.len() / 2))
    }

    fn least_us(&self) -> f64 {
        self.0.iter().min().map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }

    /// Median and least, in milliseconds.
    pub(super) fn to_json(&self) -> Value {
        json!({ "median_ms": self.median_us() / 1e3, "least_ms": self.least_us() / 1e3 })
    }
}

/// Times each of them `rounds` times, in turns, and each round begins with another, so that what the machine does
/// besides falls on all alike.
pub(super) fn interleaved<T>(
    subjects: &[T],
    rounds: usize,
    act: impl Fn(&T) -> Result<()>,
) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = subjects.iter().map(|_| Sample(Vec::with_capacity(rounds))).collect();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            let begin = Instant::now();
            act(&subjects[index])?;
            samples[index].0.push(begin.elapsed());
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd_counts() {
        let sample = |times: &[u64]| Sample(times.iter().map(|&time| Duration::from_micros(time)).collect());
        assert_eq!(sample(&[9, 1, 5]).median_us().round(), 5.0);
        assert_eq!(sample(&[9, 1, 5, 7]).median_us().round(), 6.0);
        assert_eq!(sample(&[9, 1, 5, 7]).least_us().round(), 1.0);
    }
}
