//! Names of units: `slice:prefix:name` to a slice and a scope (systemd.unit(5), systemd.slice(5)). Pure.

use super::super::error::PlanError;
use crate::ContainerId;

/// Prefix of the scopes of containers whose config names none.
const PREFIX: &str = "sandboxd";

/// `UNIT_NAME_MAX`
const MOST_BYTES: usize = 255;

/// A scope in its slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) slice: String,
    pub(super) unit: String,
}

impl Scope {
    pub(super) fn parse(
        cgroups_path: Option<&str>,
        id: &ContainerId,
        default_slice: &str,
    ) -> Result<Self, PlanError> {
        let Some(path) = cgroups_path.filter(|path| !path.is_empty()) else {
            let unit = format!("{PREFIX}-{}.scope", escape(id));
            return Ok(Self { slice: default_slice.to_owned(), unit: checked(unit, id)? });
        };
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            // runc's words.
            return Err(error(
                path,
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups",
            ));
        };
        if name.is_empty() {
            return Err(error(path, "it names no scope"));
        }
        if name.contains('/') || prefix.contains('/') {
            return Err(error(path, "a unit's name has no slash"));
        }
        if name.ends_with(".slice") {
            return Err(error(path, "a container's processes are in a scope, not in a slice"));
        }
        let unit = match prefix {
            "" => format!("{}.scope", escape(name.strip_suffix(".scope").unwrap_or(name))),
            prefix => format!("{}-{}.scope", escape(prefix), escape(name)),
        };
        let slice = if slice.is_empty() { default_slice } else { slice };
        Ok(Self { slice: slice.to_owned(), unit: checked(unit, path)? })
    }
}

fn checked(unit: String, path: &str) -> Result<String, PlanError> {
    if unit.len() > MOST_BYTES {
        Err(error(path, "the unit's name is longer than 255 bytes"))
    } else {
        Ok(unit)
    }
}

pub(super) fn error(path: &str, rule: &'static str) -> PlanError {
    PlanError::Path { path: path.chars().take(200).collect(), rule }
}

/// Bytes that can't be in a unit's name as `\xNN` (systemd.unit(5), String Escaping).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b":-_.\\".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("\\x{byte:02x}"));
        }
    }
    escaped
}

/// The slices in which a slice is, itself last: `a-b.slice` is in `a.slice`. `-.slice`, the root, is in none and has no
/// directory. `None` where it is no slice's name.
pub(super) fn expand_slice(slice: &str) -> Option<Vec<String>> {
    if slice == "-.slice" {
        return Some(Vec::new());
    }
    let name = slice.strip_suffix(".slice")?;
    let well_formed = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_.\\@".contains(&byte))
    };
    if slice.len() > MOST_BYTES || !name.split('-').all(well_formed) {
        return None;
    }
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
    Some(ends.map(|end| format!("{}.slice", &name[..end])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &str) -> Result<(String, String), PlanError> {
        let id = ContainerId::new("web+1").unwrap();
        Scope::parse(Some(path), &id, "system.slice").map(|scope| (scope.slice, scope.unit))
    }

    #[test]
    fn scope_of_three_parts_or_of_the_id() {
        let of = |slice: &str, unit: &str| (slice.to_owned(), unit.to_owned());
        assert_eq!(scope("").unwrap(), of("system.slice", "sandboxd-web\\x2b1.scope"));
        assert_eq!(scope("machine.slice:libpod:abc").unwrap(), of("machine.slice", "libpod-abc.scope"));
        assert_eq!(scope(":runc:x").unwrap(), of("system.slice", "runc-x.scope"));
        assert_eq!(scope("a-b.slice::x").unwrap(), of("a-b.slice", "x.scope"));
        assert_eq!(scope("::x.scope").unwrap(), of("system.slice", "x.scope"));
    }

    #[test]
    fn scope_malformed_refused() {
        let long = format!("::{}", "x".repeat(255));
        for path in ["/a/b", "a:b", "a:b:c:d", "a.slice:p:", "a.slice:p:x/y", "::c.slice", &long] {
            assert!(scope(path).is_err(), "{path}");
        }
    }

    #[test]
    fn slice_expanded() {
        assert_eq!(expand_slice("-.slice"), Some(vec![]));
        assert_eq!(expand_slice("a.slice"), Some(vec!["a.slice".to_owned()]));
        let nested = ["kube.slice", "kube-pod.slice", "kube-pod-x_1.slice"].map(str::to_owned);
        assert_eq!(expand_slice("kube-pod-x_1.slice"), Some(nested.to_vec()));
        for malformed in ["a", "a/b.slice", "-a.slice", "a-.slice", "a--b.slice", ".slice", "../x.slice"] {
            assert_eq!(expand_slice(malformed), None, "{malformed}");
        }
    }
}
