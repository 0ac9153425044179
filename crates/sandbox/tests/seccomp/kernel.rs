//! The kernel of the machine takes the programs and does what they say.

use std::io::ErrorKind;

use sandbox::seccomp::compile;
use spec::config::Comparison::{Equal, MaskedEqual};
use spec::config::{Action, Architecture};

use crate::profile::{engine_default, rule, seccomp, when};
use crate::sys::{call, under_filter};

#[cfg(target_arch = "x86_64")]
const NATIVE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Architecture = Architecture::Aarch64;

fn error_number(result: std::io::Result<i64>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

#[test]
fn denied_calls_give_their_error() {
    let rules = vec![
        rule(&["umask"], Action::Errno(77), &[]),
        rule(
            &["getpriority"],
            Action::Errno(78),
            &[when(0, Equal, 2), when(1, MaskedEqual { mask: 0xf0 }, 0x10)],
        ),
        rule(&["sched_yield"], Action::Errno(79), &[when(0, Equal, 0x5_0000_0000)]),
    ];
    let filter = compile(&seccomp(Action::Allow, &[], rules), NATIVE).unwrap().value;
    under_filter(&filter, |listener| {
        assert!(listener.is_none());
        assert_eq!(error_number(call(libc::SYS_umask, [0o22, 0, 0, 0])), 77);
        assert_eq!(error_number(call(libc::SYS_getpriority, [2, 0x10, 0, 0])), 78);
        assert!(call(libc::SYS_getpriority, [0, 0, 0, 0]).is_ok());
        assert!(call(libc::SYS_sched_yield, [0; 4]).is_ok());
        assert!(call(libc::SYS_sched_yield, [0x6_0000_0000, 0, 0, 0]).is_ok());
        assert_eq!(error_number(call(libc::SYS_sched_yield, [0x5_0000_0000, 0, 0, 0])), 79);
        assert!(call(libc::SYS_getppid, [0; 4]).is_ok());
    })
    .unwrap();
}

#[test]
fn engine_profile_lets_a_thread_live_but_not_mount() {
    let mut config = engine_default();
    config.flags.log = true;
    config.flags.spec_allow = true;
    let filter = compile(&config, NATIVE).unwrap().value;
    under_filter(&filter, |_| {
        assert!(std::fs::read_dir("/").unwrap().count() > 0);
        assert_eq!(error_number(call(libc::SYS_unshare, [libc::CLONE_NEWNS as u64, 0, 0, 0])), libc::EPERM);
        assert_eq!(error_number(call(libc::SYS_mount, [0; 4])), libc::EPERM);
        assert_eq!(error_number(call(libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0, 0])), libc::EPERM);
        assert_eq!(error_number(call(libc::SYS_personality, [0x40_0000, 0, 0, 0])), libc::EPERM);
        assert!(call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0]).is_ok());
        for newer in [600, 0x3fff_ffff] {
            assert_eq!(error_number(call(newer, [0; 4])), libc::ENOSYS);
        }
    })
    .unwrap();
}

#[test]
fn notifying_rules_give_a_listener() {
    let mut config = seccomp(Action::Allow, &[], vec![rule(&["mount"], Action::Notify, &[])]);
    config.flags.wait_killable_recv = true;
    let filter = compile(&config, NATIVE).unwrap().value;
    match under_filter(&filter, |listener| listener.is_some()) {
        Ok(given) => assert!(given),
        // Linux before 5.19 knows no WAIT_KILLABLE_RECV.
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
    }
}
