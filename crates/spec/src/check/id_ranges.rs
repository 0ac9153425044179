//! `idmap=uids=0-1000-10#10-2000-5;gids=…`: mappings in a mount option, in crun's and podman's form.
//!
//! Runs anywhere; pure. Each range is the first id of the source's file system, the first id on the host, and how many. With
//! `@` before it the second is one of the container's user namespace.

use super::linux::MAX_MAPPINGS;
use crate::config::{IdMapping, Linux};

/// The mappings of users and groups, each as far as the value has them, or what is wrong with it.
pub(super) fn parse_id_ranges(
    value: &str,
    container: Option<&Linux>,
) -> Result<(Vec<IdMapping>, Vec<IdMapping>), String> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for part in value.split(';').filter(|part| !part.is_empty()) {
        let (ranges, mappings, known) = match part.split_once('=') {
            Some(("uids", ranges)) => (ranges, &mut uids, container.map(|linux| &linux.uid_mappings)),
            Some(("gids", ranges)) => (ranges, &mut gids, container.map(|linux| &linux.gid_mappings)),
            _ => return Err(format!("must have uids= and gids= in an idmap option, not {part:?}")),
        };
        for range in ranges.split('#') {
            mappings.push(parse_range(range, known.map_or(&[], Vec::as_slice))?);
        }
    }
    [&uids, &gids].into_iter().try_for_each(|mappings| check_ranges(mappings))?;
    if uids.is_empty() || gids.is_empty() {
        return Err("must have both uids= and gids= in an idmap option".to_owned());
    }
    Ok((uids, gids))
}

fn parse_range(range: &str, container: &[IdMapping]) -> Result<IdMapping, String> {
    let (relative, numbers) = range.strip_prefix('@').map_or((false, range), |numbers| (true, numbers));
    let decimal = |number: &str| {
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if digits { number.parse::<u32>().ok() } else { None }
    };
    let mut parts = numbers.split('-').map(decimal);
    let (Some(Some(container_id)), Some(Some(mut host_id)), Some(Some(size)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("must have ranges FIRST-HOST-SIZE in an idmap option, not {range:?}"));
    };
    if relative {
        let holds =
            |it: &&IdMapping| host_id.checked_sub(it.container_id).is_some_and(|offset| offset < it.size);
        let Some(mapping) = container.iter().find(holds) else {
            return Err(format!(
                "must be relative to the mappings of the container, which have no {host_id}"
            ));
        };
        host_id = host_id - mapping.container_id + mapping.host_id;
    }
    // The last id of a range is at most 2³²−2: 2³²−1 is no id.
    if size == 0 || container_id.checked_add(size).is_none() || host_id.checked_add(size).is_none() {
        return Err(format!(
            "must have ranges of at least 1 below 4294967295 in an idmap option, not {range:?}"
        ));
    }
    Ok(IdMapping { container_id, host_id, size })
}

fn check_ranges(mappings: &[IdMapping]) -> Result<(), String> {
    if mappings.len() > MAX_MAPPINGS {
        return Err(format!(
            "must have at most {MAX_MAPPINGS} ranges in an idmap option (user_namespaces(7))"
        ));
    }
    let sides: [fn(&IdMapping) -> u32; 2] = [|it| it.container_id, |it| it.host_id];
    for side in sides {
        let mut ranges: Vec<(u32, u32)> = mappings.iter().map(|it| (side(it), it.size)).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err("must not have ranges that overlap in an idmap option".to_owned());
        }
    }
    Ok(())
}
