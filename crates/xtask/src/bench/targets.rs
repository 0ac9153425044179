//! What the figures are held to: ratios in one run, or counts. `--check` fails where one is missed.

use super::contestant::{FLOOR, OURS};
use super::document::{Document, LaneDocument, Series};
use super::groups::{FEW, LARGE, LIBRARY, SMALL, uncached};

/// How far a ratio of times may be off its target by chance: the machine does other things too. Counts have none.
pub(super) const MARGIN: f64 = 1.15;

/// What a figure is compared with.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// Nothing: the figure itself counts.
    Alone,
    Floor,
    Crun,
    /// crun without what it has kept of a profile.
    CrunUncached,
    /// The best of the runtimes that are not ours.
    BestPeer,
    /// Another variant of the same figure.
    Variant(&'static str),
    /// The cost each of what is between the second variant and the target's, over that between the first and the second.
    GrowthOver(&'static str, &'static str),
}

/// Which side of the number is good.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    series: &'static str,
    /// `*`: the last one that was measured.
    variant: &'static str,
    /// On every one where absent.
    lane: Option<&'static str>,
    against: Against,
    bound: Bound,
}

const fn target(
    lane: Option<&'static str>,
    series: &'static str,
    variant: &'static str,
    against: Against,
    bound: Bound,
) -> Target {
    Target { series, variant, lane, against, bound }
}

/// The table.
const TARGETS: [Target; 18] = [
    target(Some("v2"), "run", "", Against::Floor, Bound::AtMost(1.25)),
    target(Some("v2"), "run", "", Against::Crun, Bound::AtMost(0.40)),
    target(Some("hybrid"), "run", "", Against::BestPeer, Bound::AtMost(0.35)),
    target(Some("v2"), "cycle", "", Against::Crun, Bound::AtMost(0.25)),
    target(Some("v2"), "exec", "", Against::Crun, Bound::AtMost(0.40)),
    target(None, "seccomp", "", Against::CrunUncached, Bound::AtMost(0.35)),
    target(None, "seccomp", "", Against::Crun, Bound::AtMost(0.60)),
    target(None, "throughput", "64", Against::Crun, Bound::AtLeast(2.0)),
    target(None, "created-pss", "*", Against::Alone, Bound::AtMost(64.0)),
    target(None, "limit", "", Against::Crun, Bound::AtMost(1.0)),
    target(Some("v2"), "syscalls", "", Against::Alone, Bound::AtMost(180.0)),
    // The first of them are made while the runtime does something else.
    target(None, "mounts", "200", Against::GrowthOver("50", "100"), Bound::AtMost(1.2)),
    target(None, "created-time", "*", Against::Variant("10"), Bound::AtMost(1.2)),
    target(None, "created-pss", "*", Against::Variant("10"), Bound::AtMost(1.2)),
    target(None, "created-memory", "*", Against::Variant("100"), Bound::AtMost(1.2)),
    target(None, "delete", "1000", Against::Crun, Bound::AtMost(1.0)),
    target(None, "library-launch", LARGE, Against::Variant(SMALL), Bound::AtMost(1.15)),
    target(None, "init-size", "", Against::Alone, Bound::AtMost(64.0)),
];

/// What became of a target.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) lane: String,
    /// `run / floor at most 1.25`.
    pub(super) sentence: String,
    /// Why there is no figure, otherwise.
    pub(super) figure: Result<f64, String>,
    pub(super) met: bool,
}

/// Looks at all targets of the lanes that were measured; series that were not are passed over.
pub(super) fn judge(document: &Document) -> Vec<Verdict> {
    document.lanes.iter().flat_map(judge_lane).collect()
}

fn judge_lane(lane: &LaneDocument) -> Vec<Verdict> {
    let here = TARGETS.iter().filter(|target| target.lane.is_none_or(|wanted| wanted == lane.cgroup));
    let measured =
        here.filter(|target| lane.series(target.series).is_some_and(|series| !series.rows.is_empty()));
    measured.filter_map(|target| target.judge(lane)).collect()
}

impl Target {
    /// `None`: there is nobody to compare with.
    fn judge(&self, lane: &LaneDocument) -> Option<Verdict> {
        let figure = self.figure(lane)?;
        let is_timed = Series::of(self.series).is_some_and(|series| series.unit.is_timed());
        let margin = if is_timed { MARGIN } else { 1.0 };
        let met = figure.as_ref().is_ok_and(|figure| match self.bound {
            Bound::AtMost(most) => *figure <= most * margin,
            Bound::AtLeast(least) => *figure >= least / margin,
        });
        Some(Verdict { lane: lane.cgroup.clone(), sentence: self.sentence(), figure, met })
    }

    fn sentence(&self) -> String {
        let variant = match self.variant {
            "" => String::new(),
            "*" => " of all".to_owned(),
            variant => format!(" ({variant})"),
        };
        let against = match self.against {
            Against::Alone => String::new(),
            Against::Floor => " over floor".into(),
            Against::Crun => " over crun".into(),
            Against::CrunUncached => " over crun without its cache".into(),
            Against::BestPeer => " over the best peer".into(),
            Against::Variant(variant) => format!(" over {variant}"),
            Against::GrowthOver(first, second) => format!(", cost each over that from {first} to {second}"),
        };
        let bound = match self.bound {
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::AtLeast(least) => format!("at least {least}"),
        };
        format!("{}{variant}{against}: {bound}", self.series)
    }

    fn figure(&self, lane: &LaneDocument) -> Option<Result<f64, String>> {
        let measured = lane.series(self.series)?;
        let subject = if self.series.starts_with("library") { LIBRARY } else { OURS };
        let all = measured.rows.iter().filter(|row| row.contestant == subject);
        let Some(ours) = all.clone().rfind(|row| self.variant == "*" || row.variant == self.variant) else {
            return Some(Err(format!("{subject} was not measured")));
        };
        let of = |name: &str| measured.row(name, &ours.variant).map(|row| row.median);
        let base = match self.against {
            Against::Alone => Some(1.0),
            Against::Floor => of(FLOOR),
            Against::Crun => of("crun"),
            Against::CrunUncached => of(&uncached("crun")),
            Against::BestPeer => {
                let peers =
                    measured.rows.iter().filter(|row| ![OURS, FLOOR].contains(&row.contestant.as_str()));
                peers.map(|row| row.median).min_by(f64::total_cmp)
            }
            Against::Variant(variant) => measured.row(subject, variant).map(|row| row.median),
            Against::GrowthOver(first, second) => {
                // The least: of medians that differ by little, chance alone would make the quotient of differences.
                let at = |variant: &str| {
                    Some((variant.parse::<f64>().ok()?, measured.row(subject, variant)?.best))
                };
                let slope = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0);
                let points = (at(first)?, at(second)?, at(&ours.variant)?);
                return Some(Ok(slope(points.1, points.2) / slope(points.0, points.1)));
            }
        };
        Some(Ok(ours.median / base?))
    }
}

/// Growth is over as many as are measured first.
const _: () = assert!(FEW == 10);

#[cfg(test)]
mod tests {
    use super::super::document::Measured;
    use super::*;

    fn lane(series: &str, rows: &[(&str, &str, f64)]) -> LaneDocument {
        let mut measured = Measured::new(series);
        rows.iter().for_each(|(name, variant, figure)| measured.add(name, variant, *figure));
        LaneDocument {
            cgroup: "v2".into(),
            rounds: 1,
            contestants: Vec::new(),
            absent: Vec::new(),
            measured: vec![measured],
        }
    }

    fn verdicts(lane: &LaneDocument) -> Vec<(f64, bool)> {
        let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
        let verdicts = judge_lane(lane).into_iter();
        verdicts.map(|verdict| (rounded(verdict.figure.unwrap()), verdict.met)).collect()
    }

    #[test]
    fn ratio_over_target_and_margin_missed() {
        let with = |ours: f64| lane("run", &[("floor", "", 2.0), ("sandboxd", "", ours), ("crun", "", 10.0)]);
        assert_eq!(verdicts(&with(2.4)), [(1.2, true), (0.24, true)]);
        assert_eq!(verdicts(&with(2.8)), [(1.4, true), (0.28, true)]);
        assert_eq!(verdicts(&with(5.0)), [(2.5, false), (0.5, false)]);
    }

    #[test]
    fn rate_below_target_missed() {
        let with = |ours: f64| lane("throughput", &[("sandboxd", "64", ours), ("crun", "64", 100.0)]);
        assert_eq!(verdicts(&with(250.0)), [(2.5, true)]);
        assert_eq!(verdicts(&with(150.0)), [(1.5, false)]);
    }

    #[test]
    fn growth_is_over_the_cost_each() {
        let rows = [("sandboxd", "50", 10.0), ("sandboxd", "100", 60.0), ("sandboxd", "200", 260.0)];
        assert_eq!(verdicts(&lane("mounts", &rows)), [(2.0, false)]);
    }

    #[test]
    fn count_has_no_margin() {
        assert_eq!(verdicts(&lane("syscalls", &[("sandboxd", "", 181.0)])), [(181.0, false)]);
    }

    #[test]
    fn without_ours_is_missed() {
        let verdicts = judge_lane(&lane("syscalls", &[("crun", "", 800.0)]));
        assert!(!verdicts[0].met && verdicts[0].figure.is_err());
    }

    #[test]
    fn targets_are_of_known_series() {
        for target in TARGETS {
            assert!(Series::of(target.series).is_some(), "{}", target.series);
        }
    }
}
