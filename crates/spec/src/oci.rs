//! From and to `oci_spec::runtime::Spec`: for programs that build their configurations with the crate `oci-spec`.
//!
//! Runs anywhere; pure. The way leads through JSON text, so that a specification means the same however it arrives.

use oci_spec::runtime::Spec;

use crate::report::{Violation, Violations};
use crate::{Config, Parsed, parse_config};

/// With the warnings.
impl TryFrom<&Spec> for Parsed {
    type Error = Violations;

    fn try_from(spec: &Spec) -> Result<Self, Violations> {
        let text = serde_json::to_vec(spec).map_err(|error| Violation {
            pointer: String::new(),
            found: error.to_string(),
            rule: "must be writable as JSON".into(),
            clause: "RFC 8259",
        })?;
        parse_config(&text)
    }
}

impl TryFrom<&Spec> for Config {
    type Error = Violations;

    fn try_from(spec: &Spec) -> Result<Self, Violations> {
        Parsed::try_from(spec).map(|parsed| parsed.config)
    }
}

impl TryFrom<Spec> for Config {
    type Error = Violations;

    fn try_from(spec: Spec) -> Result<Self, Violations> {
        Self::try_from(&spec)
    }
}

/// Fails for the few values of the specification that `oci-spec` has no place for.
impl TryFrom<&Config> for Spec {
    type Error = serde_json::Error;

    fn try_from(config: &Config) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&config.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_default_of_the_crate_is_converted_and_back() {
        let config = Config::try_from(Spec::default()).unwrap();
        assert_eq!(&*config.root.path, "rootfs");
        let spec = Spec::try_from(&config).unwrap();
        assert_eq!(Config::try_from(spec).unwrap(), config);
    }

    #[test]
    fn spec_that_breaks_a_rule_is_refused() {
        let mut spec = Spec::default();
        spec.set_version("0.5.0".into());
        assert!(Config::try_from(&spec).unwrap_err().to_string().starts_with("/ociVersion: "));
    }
}
