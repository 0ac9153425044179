//! Timing.

use std::time::Instant;

use crate::error::Result;

/// A figure, each time it was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    pub(super) const fn of(figures: Vec<f64>) -> Self {
        Self(figures)
    }

    pub(super) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle one, or what is between the two in the middle.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        f64::midpoint(at((sorted.len().max(1) - 1) / 2), at(sorted.len() / 2))
    }

    pub(super) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    pub(super) fn most(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }
}

/// How long it takes, in milliseconds.
pub(super) fn time_ms(act: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    act()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// Takes the figure of each of them `rounds` times, in turns, and each round begins with another, so that what the
/// machine does besides falls on all alike. Whoever fails drops out, with the reason.
pub(super) fn interleaved<T>(
    subjects: &[T],
    rounds: usize,
    mut figure: impl FnMut(&T) -> Result<f64>,
) -> Vec<Result<Sample>> {
    let mut samples: Vec<Result<Sample>> = subjects.iter().map(|_| Ok(Sample::default())).collect();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            if let Ok(sample) = &mut samples[index] {
                match figure(&subjects[index]) {
                    Ok(figure) => sample.push(figure),
                    Err(failure) => samples[index] = Err(failure),
                }
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn median_of_even_and_odd_counts() {
        let sample = |figures: &[f64]| Sample::of(figures.to_vec());
        assert_eq!(sample(&[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(sample(&[9.0, 1.0, 5.0, 7.0]).median(), 6.0);
        assert_eq!(sample(&[9.0, 1.0, 5.0, 7.0]).least(), 1.0);
        assert_eq!(sample(&[9.0, 1.0, 5.0, 7.0]).most(), 9.0);
        assert!(sample(&[]).median().is_nan());
    }

    #[test]
    fn failing_subject_drops_out() {
        let mut asked = Vec::new();
        let samples = interleaved(&["a", "b"], 3, |name| {
            asked.push(*name);
            if *name == "b" { Err(Failure::new("b fails")) } else { Ok(1.0) }
        });
        assert_eq!(asked, ["a", "b", "a", "a"]);
        assert_eq!(samples[0].as_ref().unwrap().len(), 3);
        assert_eq!(samples[1].as_ref().unwrap_err().to_string(), "b fails");
    }
}
