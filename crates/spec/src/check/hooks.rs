//! `hooks`.

use crate::config::{Hook, HookPoint, Hooks};
use crate::field::Field;
use crate::report::Report;

const CLAUSE: &str = "config.md#posix-platform-hooks";

pub(super) fn check_hooks(field: Field<'_, '_>, report: &mut Report) -> Option<Hooks> {
    let known = &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let field = field.of(CLAUSE);
    if !field.is_present() {
        return Some(Hooks::default());
    }
    let hooks = field.object(report, CLAUSE, known)?;
    let [prestart, create_runtime, create_container, start_container, poststart, poststop] =
        HookPoint::ALL.map(|point| check_point(hooks.field(point.name()), report));
    Some(Hooks {
        prestart: prestart?,
        create_runtime: create_runtime?,
        create_container: create_container?,
        start_container: start_container?,
        poststart: poststart?,
        poststop: poststop?,
    })
}

fn check_point(field: Field<'_, '_>, report: &mut Report) -> Option<Vec<Hook>> {
    field.checked(report, check_hook)
}

fn check_hook(field: Field<'_, '_>, report: &mut Report) -> Option<Hook> {
    let hook = field.object(report, CLAUSE, &["path", "args", "env", "timeout"])?;
    let path = hook.field("path").required(report).absolute_path(report);
    let mut args = hook.field("args").texts(report);
    let env = hook.field("env").texts(report);
    let timeout = hook.field("timeout");
    let timeout_s = timeout.i64(report).and_then(|seconds| {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
        if seconds.is_none() {
            timeout.violate(report, "must be greater than zero");
        }
        seconds
    });
    let path = path?;
    if args.is_empty() {
        args.push(path.as_text().clone());
    }
    Some(Hook { path, args, env, timeout_s })
}
