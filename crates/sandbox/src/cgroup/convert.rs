//! The config speaks v1; what its values are on v2. Pure.

use spec::config::{Limit, Memory};

use super::error::PlanError;

/// `cpu.shares` (2 to 262144) as `cpu.weight` (1 to 10000), as runc since 1.3.2 and crun since 1.24: the smallest, the
/// default and the largest of one scale are those of the other (2 is 1, 1024 is 100, 262144 is 10000), by a quadratic
/// function between the logarithms. The runtime-spec names none; the older, linear one made 39 of the default.
pub fn shares_to_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let logarithm = (shares as f64).log2();
            let exponent = (logarithm * logarithm + 125.0 * logarithm) / 612.0 - 7.0 / 34.0;
            round_up(10f64.powf(exponent))
        }
    }
}

/// To the next integer, but for what logarithm and power may be wrong by, which no standard binds: 1024 is 100 exactly, and
/// a last bit more would make it 101. No other number's weight is as close above an integer.
fn round_up(weight: f64) -> u64 {
    const INEXACT: f64 = 1e-9;
    (weight - INEXACT).ceil() as u64
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000), linear.
pub fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

/// A limit as v2 files take it.
pub(super) fn v2_limit(limit: Limit) -> String {
    match limit {
        Limit::Max => "max".to_owned(),
        Limit::Value(value) => value.to_string(),
    }
}

/// A limit as v1 files take it.
pub(super) fn v1_limit(limit: Limit) -> String {
    match limit {
        Limit::Max => "-1".to_owned(),
        Limit::Value(value) => value.to_string(),
    }
}

/// What is asked of swap: on v1 memory and swap together (`memory.memsw.limit_in_bytes`), on v2 swap alone
/// (`memory.swap.max`). Unlimited memory without a word about swap is unlimited in both, as v1 has it.
pub(super) struct Swap {
    pub(super) total: Limit,
    pub(super) alone: Limit,
}

pub(super) fn swap(memory: &Memory) -> Result<Option<Swap>, PlanError> {
    let error = |rule: &str| {
        Err(PlanError::Value { pointer: "/linux/resources/memory/swap".to_owned(), rule: rule.to_owned() })
    };
    match (memory.swap, memory.limit) {
        (None, Some(Limit::Max)) | (Some(Limit::Max), _) => {
            Ok(Some(Swap { total: Limit::Max, alone: Limit::Max }))
        }
        (None, _) => Ok(None),
        (Some(Limit::Value(_)), None) => {
            error("it limits memory and swap together, so it needs a memory limit")
        }
        (Some(Limit::Value(_)), Some(Limit::Max)) => {
            error("it limits memory and swap together, but memory is not limited")
        }
        (Some(Limit::Value(total)), Some(Limit::Value(memory))) => match total.checked_sub(memory) {
            Some(alone) => Ok(Some(Swap { total: Limit::Value(total), alone: Limit::Value(alone) })),
            None => error("it limits memory and swap together, so it can't be below the memory limit"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_edges_and_default() {
        for (shares, weight) in
            [(0, 1), (2, 1), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(shares_to_weight(shares), weight, "{shares}");
        }
    }

    #[test]
    fn shares_do_not_depend_on_the_last_bits() {
        assert_eq!(round_up(100_f64.next_down()), 100);
        assert_eq!(round_up(100_f64.next_up()), 100);
        assert_eq!(round_up(100.001), 101);
    }

    #[test]
    fn io_weight_edges() {
        for (weight, converted) in
            [(0, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000), (u16::MAX, 10_000)]
        {
            assert_eq!(io_weight(weight), converted, "{weight}");
        }
    }

    #[test]
    fn swap_table() {
        use Limit::{Max, Value};
        let of = |swap, limit| super::swap(&Memory { swap, limit, ..Memory::default() });
        let ok = |swap, limit| of(swap, limit).unwrap().map(|it| (it.total, it.alone));
        assert_eq!(ok(None, None), None);
        assert_eq!(ok(None, Some(Value(5))), None);
        assert_eq!(ok(None, Some(Max)), Some((Max, Max)));
        assert_eq!(ok(Some(Max), None), Some((Max, Max)));
        assert_eq!(ok(Some(Max), Some(Value(5))), Some((Max, Max)));
        assert_eq!(ok(Some(Value(7)), Some(Value(5))), Some((Value(7), Value(2))));
        assert_eq!(ok(Some(Value(5)), Some(Value(5))), Some((Value(5), Value(0))));
        for (swap, limit) in
            [(Some(Value(5)), None), (Some(Value(5)), Some(Max)), (Some(Value(4)), Some(Value(5)))]
        {
            assert!(of(swap, limit).is_err(), "{swap:?} {limit:?}");
        }
    }
}
