//! Where other runtimes are known to differ, and why; such a test is skipped for them, and counted.
//!
//! A test that is skipped for runc must have passed on crun, or the other way round; where neither does what the
//! specification says, the reason cites it.

use crate::lane::Lane;
use crate::runtime::Runtime;

/// A known difference.
#[derive(Debug)]
struct Difference {
    /// Name of the runtime and the start of its version.
    runtime: (&'static str, &'static str),
    /// Only in this cgroup view.
    lane: Option<Lane>,
    /// The test's full name, or a prefix that ends in `*`.
    test: &'static str,
    /// What it does, and who is right.
    reason: &'static str,
}

const RUNC: (&str, &str) = ("runc", "1.1");
const CRUN: (&str, &str) = ("crun", "1.8");

const SOURCES_FIRST: &str = "opens all sources before it mounts; newer runc (1.2) does not";

const LINK_OUT: &str = "a link of the image in a bind source leads to the host";

const LONG_DESTINATION: &str = "makes the path of the host in the root; newer runc (1.3) does not";

const NOTIFY_AT_CREATE: &str =
    "installs the filter at create, and the created container answers to it already";

const AFFINITY: &str =
    "passes the caller's affinity on; newer runc (1.3.3) does not: it is the cpuset's to say";

const CRUN_NOTIFY: &str = "has its socket at another place in the state directory, and tells no MAINPID";

const HALF_DONE: &str = "an update that is refused half way stays half done";

const GO_ENDS: &str = "where a call of Go's own fails, Go ends the program in its words";

const OTHER_RECORDS: &str = "the case is about the files of our state directory";

const OTHER_WORDS_SAID: &str = "says it in other words";

const OWN_BINARY: &str = "a created container executes the runtime's own file; newer runc (1.2) a copy of it";

const OWN_INIT: &str = "the case knows our init by what it executes";

const OWN_NULL: &str = "masks with the null device that it makes in the container";

const OWN_PROC: &str = "needs the host's own /proc/sys";

const DEV_LINK: &str = "CVE-2026-41579; fixed in 1.3.6";

const DEVPTS_GROUP: &str = "a devpts with a group that is not mapped is EINVAL";

const KEEP_GROUPS: &str = "knows no annotation that keeps groups: podman has it with crun alone";
const HOOK_ENVIRONMENT: &str = "a hook without env gets the caller's; config.md: as of execve's environ";

const CONFIG_AGAIN: &str =
    "reads the bundle's config.json again: whoever can write it decides what an exec may";

#[allow(dead_code, reason = "there may be nothing to list of ours")]
const SANDBOXD: (&str, &str) = ("sandboxd", "0.1");

const fn any(runtime: (&'static str, &'static str), test: &'static str, reason: &'static str) -> Difference {
    Difference { runtime, lane: None, test, reason }
}

const DIFFERENCES: &[Difference] = &[
    any(
        RUNC,
        "seccomp_notify::every_call_of_the_start_may_notify",
        "makes calls of its own under the filter",
    ),
    any(
        CRUN,
        "seccomp_notify::calls_that_hand_over_may_be_denied",
        "makes calls of its own under the filter",
    ),
    any(RUNC, "seccomp_notify::killable_flag_is_taken", "1.1 knows no seccomp flags"),
    any(
        CRUN,
        "seccomp_notify::killable_flag_is_taken",
        "1.8 asks the kernel for TSYNC with a listener: EINVAL",
    ),
    any(RUNC, "seccomp_notify::start_with_an_agent_that_has_gone_fails", NOTIFY_AT_CREATE),
    any(CRUN, "seccomp_notify::start_with_an_agent_that_has_gone_fails", NOTIFY_AT_CREATE),
    any(CRUN, "seccomp_notify::exec_has_a_listener_of_its_own", "the state that it sends has the pid 0"),
    any(CRUN, "seccomp_notify::agent_that_does_not_accept_fails", "waits for ever"),
    any(CRUN, "seccomp_notify::path_without_notify_is_ignored", "connects to the agent all the same"),
    any(CRUN, "seccomp_notify::notify_without_path_fails", "nobody gets the listener: the calls fail"),
    any(
        CRUN,
        "seccomp_notify::notify_by_default_fails",
        "takes it: create is the last that the agent can answer",
    ),
    any(RUNC, "process::affinity_of_the_caller_is_reset", AFFINITY),
    any(CRUN, "process::affinity_of_the_caller_is_reset", AFFINITY),
    any(RUNC, "exec::affinity_of_the_caller_is_reset", AFFINITY),
    any(CRUN, "exec::affinity_of_the_caller_is_reset", AFFINITY),
    any(RUNC, "mounts::bind_of_a_mount_of_the_container_in_a_user_namespace", SOURCES_FIRST),
    any(CRUN, "mounts::bind_of_a_mount_of_the_container_in_a_user_namespace", SOURCES_FIRST),
    any(CRUN, "mounts::idmapped_bind_of_a_mount_of_the_container", SOURCES_FIRST),
    any(CRUN, "mounts::idmapped_bind_of_a_mount_of_the_container_in_a_user_namespace", SOURCES_FIRST),
    any(RUNC, "mounts::source_in_the_root_leads_out_by_no_link", LINK_OUT),
    any(CRUN, "mounts::source_in_the_root_leads_out_by_no_link", LINK_OUT),
    any(RUNC, "mounts::destination_below_the_roots_place_is_one_of_the_root", LONG_DESTINATION),
    any(CRUN, "mounts::destination_below_the_roots_place_is_one_of_the_root", LONG_DESTINATION),
    any(RUNC, "live_mounts::*", "has no command `mounts`"),
    any(CRUN, "live_mounts::*", "has no command `mounts`, which is newer"),
    any(RUNC, "service::pidfd_socket_receives_init", "has no --pidfd-socket"),
    any(CRUN, "service::pidfd_socket_receives_init", "has no --pidfd-socket"),
    any(CRUN, "service::keep_leaves_a_stopped_container", "has no --keep"),
    any(CRUN, "service::no_subreaper_leaves_orphans", "adopts them all the same"),
    any(CRUN, "service::notify_start_waits_until_ready", CRUN_NOTIFY),
    any(CRUN, "service::notify_run_*", CRUN_NOTIFY),
    any(CRUN, "service::notify_start_that_is_refused_takes_nothing", CRUN_NOTIFY),
    any(CRUN, "service::notify_socket_that_can_not_be_reached_is_no_error_of_run", CRUN_NOTIFY),
    any(
        RUNC,
        "service::notify_start_returns_when_the_container_ends",
        "waits until somebody else has reaped the container's process",
    ),
    any(
        RUNC,
        "rootless::map_ranges_with_groups",
        "an ordinary user's containers get no supplementary groups, though newgidmap allows setgroups(2)",
    ),
    any(RUNC, "rootless_podman::run_keep_groups", KEEP_GROUPS),
    any(RUNC, "rootless_podman_session::run_keep_groups", KEEP_GROUPS),
    any(RUNC, "rootless::inside_locked_flags_stay", "1.1 remounts without the locked flags: EPERM"),
    any(CRUN, "rootless::limit_in_a_delegated_cgroup", "the controller is not enabled for the container"),
    any(CRUN, "rootless::groups_without_a_map_fail", "groups that can't be set are left out without a word"),
    any(
        CRUN,
        "rootless::without_a_user_namespace_fails",
        "adds a user namespace that the config does not have",
    ),
    any(
        CRUN,
        "rootless::limit_without_a_cgroup_fails",
        "limits that can't be set are left out without a word",
    ),
    any(
        CRUN,
        "rootless::cgroups_path_without_permission_fails",
        "the first hierarchy's refusal is passed over, the next one's error is another",
    ),
    any(
        RUNC,
        "config::invalid_version_fails",
        "the version is not looked at; config.md: MUST be refused when invalid",
    ),
    any(RUNC, "exec::config_edited_after_create_does_not_count", CONFIG_AGAIN),
    any(CRUN, "exec::container_missing_fails", "exits 1 on its own errors, runc 255"),
    any(CRUN, "exec::container_stopped_fails", "exits 1 on its own errors, runc 255"),
    any(CRUN, "exec::process_outlives_init_without_a_pid_namespace", "exits 1 on its own errors, runc 255"),
    any(CRUN, "exec::paused_container_fails", "exits 1 on its own errors, runc 255"),
    any(CRUN, "exec::process_file_invalid_fails", "exits 1 on its own errors, runc 255"),
    any(
        CRUN,
        "exec::console_socket_and_terminal_must_fit",
        "looks at its own terminal before the flags, and exits 1",
    ),
    any(CRUN, "exec::user_and_groups_are_set", "has no -g"),
    any(
        CRUN,
        "exec::environment_is_the_containers_and_more",
        "--env replaces the container's environment; runc adds to it",
    ),
    any(CRUN, "exec::home_is_the_users", "--env replaces the container's environment; runc adds to it"),
    any(CRUN, "exec::user_that_is_no_number_fails", "takes `1:` and more for a number"),
    any(CRUN, "exec::cwd_is_set", "without --cwd it is `/`, not the container's"),
    any(CRUN, "exec::sub_cgroup_missing_or_elsewhere_fails", "makes the cgroup, and leaves the container's"),
    any(CRUN, "exec::capability_is_added", "--cap replaces the container's capabilities; runc adds to them"),
    any(CRUN, "exec::rlimits_are_the_configs", "a command has the caller's limits, not the container's"),
    any(
        CRUN,
        "exec::config_edited_after_create_does_not_count",
        "a command doesn't get the container's noNewPrivileges",
    ),
    any(CRUN, "exec::console_socket_receives_a_master", "the size of a --process file is set late"),
    any(
        CRUN,
        "exec::terminal_resize_is_passed",
        "does not pass on a change of size while it waits for input",
    ),
    any(CRUN, "config::newer_minor_version_is_accepted", "knows specification 1.0 only"),
    any(CRUN, "config::annotation_that_is_no_string_fails", "some wrong types are taken as absent"),
    any(CRUN, "config::wrong_types_fail", "some wrong types are taken as absent"),
    any(CRUN, "config::process_cwd_absent_fails", "refuses it without saying what is missing"),
    any(RUNC, "checkpoint::own_network_has_a_loopback_device", "the restored network namespace has it down"),
    any(RUNC, "checkpoint::hooks_run_at_restore", "poststart hooks don't run when a container is restored"),
    any(RUNC, "checkpoint::user_namespace", "a container with a user namespace can't be restored"),
    any(CRUN, "checkpoint::*", "built without CRIU by the distribution"),
    any(RUNC, "tty::foreground_output_to_a_pipe*", "needs a terminal of the caller's; newer versions don't"),
    any(RUNC, "exec::terminal_output_to_a_pipe*", "needs a terminal of the caller's; newer versions don't"),
    any(RUNC, "namespaces::shared_pid_namespace_kill*", "ends init alone; newer versions end all"),
    any(RUNC, "mounts::masked_path_twice*", "masks it twice; newer versions once"),
    any(RUNC, "lifecycle::list_of_a_missing_root_fails", "an empty list; newer versions fail"),
    any(RUNC, "docker::run_privileged", "fails where the host lacks one of all the capabilities asked for"),
    any(RUNC, "cri::security_privileged", "fails where the host lacks one of all the capabilities asked for"),
    any(RUNC, "lifecycle::create_fifty_of_one_id_one_wins", "two creates of one id can both succeed"),
    any(
        CRUN,
        "lifecycle::state_created_has_all_fields",
        "`rootfs` is as in the config, not absolute as go-runc has it",
    ),
    any(
        CRUN,
        "lifecycle::id_invalid_*",
        "ids are hardly checked; `delete --force` removes an absolute one as a path",
    ),
    any(
        CRUN,
        "lifecycle::id_valid_hidden_is_accepted",
        "names a keyring by the id, and a leading dot is the kernel's",
    ),
    any(CRUN, "lifecycle::kill_takes_names_and_numbers", "takes signal names in upper case only"),
    any(CRUN, "lifecycle::kill_unknown_signal_fails", "an unknown signal is taken as 0"),
    any(CRUN, "lifecycle::list_table_has_the_header_and_a_line", "another table than runc's"),
    any(CRUN, "lifecycle::list_json_empty_is_null", "an empty list is `[]`, runc's is `null`"),
    any(CRUN, "lifecycle::ps_table_shows_the_process", "prints ids alone, runc what ps(1) says"),
    any(
        RUNC,
        "process::path_interpreter_missing*",
        "start ends before the execve, so its error goes to the container's stderr",
    ),
    any(
        CRUN,
        "process::path_interpreter_missing*",
        "start ends before the execve, so its error goes to the container's stderr",
    ),
    any(
        RUNC,
        "process::path_wrong_format_fails",
        "start ends before the execve, so its error goes to the container's stderr",
    ),
    any(
        CRUN,
        "process::path_wrong_format_fails",
        "start ends before the execve, so its error goes to the container's stderr",
    ),
    any(CRUN, "process::cwd_relative_fails", "a relative cwd is accepted; config.md: MUST be absolute"),
    any(
        RUNC,
        "process::rlimits_duplicate_fails",
        "the last one wins; config.md: the runtime MUST generate an error",
    ),
    any(
        CRUN,
        "process::rlimits_duplicate_fails",
        "the last one wins; config.md: the runtime MUST generate an error",
    ),
    any(RUNC, "process::signals_blocked*", "a blocked signal mask is inherited"),
    any(RUNC, "process::umask_of_the_caller*", "directories are made with the caller's umask"),
    any(CRUN, "process::umask_of_the_caller*", "directories are made with the caller's umask"),
    any(RUNC, "process::io_priority*", "does not know ioPriority, which is newer"),
    any(CRUN, "process::io_priority*", "does not know ioPriority, which is newer"),
    any(RUNC, "process::scheduler*", "does not know scheduler, which is newer"),
    any(CRUN, "process::scheduler*", "does not know scheduler, which is newer"),
    any(RUNC, "process::personality*", "does not know personality, which is newer"),
    any(CRUN, "process::listen_fds_are_passed", "LISTEN_PID is not set to 1"),
    any(CRUN, "process::closed_standard_streams*", "does not run with its standard streams closed"),
    any(
        CRUN,
        "mounts::bind_keeps_the_flags_of_its_source",
        "a bind without options drops its source's flags",
    ),
    any(CRUN, "mounts::recursive_options_reach_submounts", "rnoatime and rnodiratime are EINVAL"),
    any(CRUN, "mounts::readonly_path_root_is_read_only", "the root stays writable"),
    any(CRUN, "file_systems::overlay_read_only_is_so_itself", "the mount alone is read-only"),
    any(CRUN, "mounts::destination_missing_is_created", "a created parent has mode 1755"),
    any(CRUN, "mounts::destination_symlink_is_resolved_in_the_root", "a link to a missing directory fails"),
    any(CRUN, "mounts::tmpfs_mode_of_the_directory*", "a tmpfs has mode 1777"),
    on(
        Lane::Hybrid,
        RUNC,
        "mounts::cgroup_mount_is_read_only",
        "the tmpfs that v1 hierarchies are mounted on is writable",
    ),
    on(
        Lane::V1,
        RUNC,
        "mounts::cgroup_mount_is_read_only",
        "the tmpfs that v1 hierarchies are mounted on is writable",
    ),
    on(
        Lane::V1,
        CRUN,
        "mounts::cgroup_mount_is_read_only",
        "the tmpfs that v1 hierarchies are mounted on is writable",
    ),
    any(RUNC, "mounts::no_mounts_in_the_config_works", "needs /proc in the container"),
    any(CRUN, "mounts::no_mounts_in_the_config_works", "`mounts` must be there; in config.md it is optional"),
    any(CRUN, "mounts::idmapped_bind_maps_the_mounts_below_with_ridmap", "maps one mount only"),
    any(RUNC, "mounts::idmap*", "does not know idmap mounts, which are newer"),
    any(CRUN, "mounts::idmap_without*", "the option is ignored then; config.md: an error MUST be returned"),
    any(RUNC, "mounts::option_defaults", "`defaults` is handed to the file system"),
    any(CRUN, "mounts::option_ro_rw", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_nosuid_suid", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_nodev_dev", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_noexec_exec", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_nodiratime_diratime", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_noatime_atime", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_strictatime_nostrictatime", "an option that takes one back has no effect"),
    any(CRUN, "mounts::option_silent*", "handed to the file system, which refuses it"),
    any(CRUN, "mounts::option_iversion*", "handed to the file system, which refuses it"),
    any(CRUN, "mounts::option_nosymfollow*", "handed to the file system, which refuses it"),
    any(CRUN, "mounts::option_acl", "handed to the file system, which refuses it"),
    any(CRUN, "mounts::option_noacl", "handed to the file system, which refuses it"),
    any(CRUN, "mounts::propagation_option*", "the root's own propagation is applied over a bind's"),
    any(
        CRUN,
        "mounts::propagation_of_a_mount_holds_whatever_the_roots",
        "the root's own propagation is applied over a bind's",
    ),
    any(
        RUNC,
        "mounts::root_propagation_shared",
        "the parent mount is made private, and it is the root itself here",
    ),
    any(
        RUNC,
        "mounts::root_propagation_slave",
        "the parent mount is made private, and it is the root itself here",
    ),
    any(
        RUNC,
        "mounts::root_propagation_unbindable",
        "the parent mount is made private, and it is the root itself here",
    ),
    any(
        RUNC,
        "mounts::root_propagation_rshared",
        "the parent mount is made private, and it is the root itself here",
    ),
    any(CRUN, "mounts::root_propagation_slave", "the root is made private before it is made a slave"),
    any(CRUN, "mounts::root_propagation_rslave", "the root is made private before it is made a slave"),
    any(
        RUNC,
        "mounts::recursive_option_ratime",
        "clears one access-time value without the whole field: EINVAL",
    ),
    any(
        RUNC,
        "mounts::recursive_option_rnostrictatime",
        "clears one access-time value without the whole field: EINVAL",
    ),
    any(CRUN, "mounts::recursive_option_rno*", "several recursive options are EINVAL or have no effect"),
    any(
        CRUN,
        "mounts::recursive_option_rsymfollow",
        "several recursive options are EINVAL or have no effect",
    ),
    any(CRUN, "mounts::recursive_option_rdiratime", "several recursive options are EINVAL or have no effect"),
    any(CRUN, "mounts::recursive_option_ratime", "several recursive options are EINVAL or have no effect"),
    any(CRUN, "mounts::recursive_option_rrelatime", "several recursive options are EINVAL or have no effect"),
    any(
        CRUN,
        "mounts::recursive_option_rstrictatime",
        "several recursive options are EINVAL or have no effect",
    ),
    any(
        CRUN,
        "namespaces::duplicate_type_fails",
        "a duplicate is accepted; config-linux.md: MUST generate an error",
    ),
    any(CRUN, "namespaces::time_offsets*", "does not know the time namespace, which is newer"),
    any(CRUN, "namespaces::new_time", "does not know the time namespace, which is newer"),
    any(CRUN, "namespaces::joined_time", "does not know the time namespace, which is newer"),
    any(RUNC, "namespaces::joined_user*", "a joined user namespace needs mappings too"),
    any(RUNC, "mounts::bind_in_a_joined_user_namespace*", "a joined user namespace needs mappings too"),
    any(RUNC, "namespaces::uts_domainname_is_set", "does not know domainname, which is newer"),
    any(RUNC, "namespaces::time_offsets*", "does not know the time namespace, which is newer"),
    any(RUNC, "namespaces::new_time", "does not know the time namespace, which is newer"),
    any(RUNC, "namespaces::joined_time", "does not know the time namespace, which is newer"),
    any(RUNC, "namespaces::linux_section_absent_works", "leaves a mount of the root file system behind"),
    any(CRUN, "namespaces::inherited_mount", "mounts into the caller's mount namespace and leaves it there"),
    on(Lane::V2, RUNC, "cgroup::devices_wildcard*", "cannot except a device from a wildcard on v2 either"),
    on(
        Lane::V2,
        RUNC,
        "cgroup::removed_with_processes*",
        "leaves cgroups whose processes end a moment later",
    ),
    on(Lane::V2, RUNC, "namespaces::shared_pid*", "leaves cgroups whose processes end a moment later"),
    on(Lane::V2, RUNC, "namespaces::path_of_another*", "leaves cgroups whose processes end a moment later"),
    any(
        RUNC,
        "cgroup::owner_is_the_users_where_it_is_writable",
        "changes the owner with the systemd cgroup manager only",
    ),
    any(RUNC, "cgroup::cpu_idle*", "ignores cpu.idle, which is newer"),
    any(CRUN, "cgroup::cpu_quota_unlimited_is_set", "writes -1 as an unsigned number"),
    any(CRUN, "cgroup::pids_unlimited_is_set", "writes -1 instead of max"),
    any(CRUN, "cgroup::cpuset_processor_that_is_not_there_fails", "leaves the cgroups of a failed create"),
    any(CRUN, "cgroup::existing_cgroup_of_another*", "kills every process of a cgroup that it was given"),
    any(
        CRUN,
        "pause::start_of_a_paused_container_fails",
        "the state of a container that is not started is `created`, frozen or not",
    ),
    any(
        CRUN,
        "pause::created_container_can_be_paused",
        "the state of a container that is not started is `created`, frozen or not",
    ),
    any(CRUN, "pause::paused_container_fails", "succeeds without an effect"),
    any(CRUN, "pause::resume_of_a_running_container_fails", "succeeds without an effect"),
    any(CRUN, "pause::resume_of_a_stopped*", "says that it is not running"),
    any(CRUN, "pause::delete_of_a_paused*", "does not say that it is paused"),
    any(CRUN, "pause::kill_of_a_paused*", "KILL waits for resume on v1"),
    any(CRUN, "pause::races*", "KILL waits for resume on v1"),
    any(CRUN, "pause::container_that_forks*", "KILL waits for resume on v1"),
    any(CRUN, "update::memory_*", "takes no units, as runc does"),
    any(CRUN, "update::pids_by_flag*", "writes -1 instead of max"),
    any(CRUN, "update::cpu_shares_quota_and_period", "writes -1 as an unsigned number"),
    any(
        CRUN,
        "update::stopped_container_fails",
        "an update of a stopped container succeeds without an effect",
    ),
    any(CRUN, "update::invalid_values_fail", "says it in the words of its JSON parser"),
    any(CRUN, "update::cache_schema*", "does not know Intel RDT, which is newer"),
    any(
        CRUN,
        "lifecycle::kill_created_container_by_*",
        "no signal but KILL reaches the first process of a pid namespace before it is started",
    ),
    any(CRUN, "events::*", "has no such command"),
    any(RUNC, "events::stream_*", "goes on until the container is deleted"),
    any(RUNC, "events::oom_*", "goes on until the container is deleted"),
    any(RUNC, "events::closed_pipe*", "goes on until the container is deleted"),
    any(RUNC, "pause::races*", "`delete --force` gives up on an init that is still ending"),
    any(CRUN, "hooks::working_directory_is_the_bundle_or_the_root", "the bundle at createContainer, too"),
    any(CRUN, "devices::path_with_slashes_at_its_end_is_made", "1.8 has no such file; newer ones make it"),
    any(
        RUNC,
        "mounts::tmpfs_root_is_as_its_options_say",
        "1.1 gives it the hidden directory's permissions in any case",
    ),
    any(
        CRUN,
        "mounts::tmpfs_root_is_as_its_options_say",
        "1.8 does not look at the hidden directory; newer ones do",
    ),
    any(RUNC, "hooks::order_*", "poststart runs at create, before startContainer"),
    any(RUNC, "hooks::run_once_at_create_start_delete", "poststart runs at create, before startContainer"),
    any(RUNC, "hooks::run_runs_all_of_them", "poststart runs at create, before startContainer"),
    any(RUNC, "hooks::state_on_stdin_poststart", "poststart runs at create"),
    any(RUNC, "hooks::failure_of_poststart", "poststart's failure fails create; runtime.md: a warning"),
    any(RUNC, "hooks::timeout_at_poststart", "poststart's failure fails create; runtime.md: a warning"),
    any(RUNC, "hooks::timeout_at_startContainer", "start ends before the hook has run"),
    any(CRUN, "hooks::timeout_at_startContainer", "start ends before the hook has run"),
    any(
        CRUN,
        "cgroup::blkio_weights_of_the_group_and_of_a_device_are_set",
        "does not know the files of bfq on v1; runc does",
    ),
    any(RUNC, "hooks::failure_of_startContainer", "start ends before the hook has run"),
    any(CRUN, "hooks::failure_of_startContainer", "start ends before the hook has run"),
    any(RUNC, "hooks::missing_program_at_startContainer", "start ends before the hook has run"),
    any(CRUN, "hooks::missing_program_at_startContainer", "start ends before the hook has run"),
    any(CRUN, "hooks::start_container_runs_in_the_containers_root", "start ends before the hook has run"),
    any(CRUN, "hooks::namespaces_are_the_points", "start ends before the hook has run"),
    any(CRUN, "hooks::run_runs_all_of_them", "start ends before the hook has run"),
    any(CRUN, "hooks::order_*", "start ends before the hook has run"),
    any(CRUN, "hooks::run_once*", "start ends before the hook has run"),
    any(RUNC, "hooks::env_absent_is_empty", HOOK_ENVIRONMENT),
    any(CRUN, "hooks::env_absent_is_empty", HOOK_ENVIRONMENT),
    any(
        RUNC,
        "hooks::failure_of_poststop",
        "a failed poststop hook stops the later ones; runtime.md: a warning",
    ),
    any(
        RUNC,
        "hooks::timeout_at_poststop",
        "a failed poststop hook stops the later ones; runtime.md: a warning",
    ),
    any(
        RUNC,
        "hooks::several_poststop*",
        "a failed poststop hook stops the later ones; runtime.md: a warning",
    ),
    any(
        RUNC,
        "hooks::hook_that_keeps_its_output_open*",
        "waits for the end of the hook's output, not of the hook",
    ),
    any(
        RUNC,
        "hooks::what_a_hook_leaves_may_go_on_printing",
        "waits for the end of the hook's output, not of the hook",
    ),
    any(CRUN, "hooks::timeout_beyond_the_clock_is_none", "does not load the config: its timeout is an int"),
    any(CRUN, "hooks::path_relative_fails", "a relative path is accepted; config.md: MUST be absolute"),
    any(
        RUNC,
        "hooks::timeout_beyond_the_clock_is_none",
        "counts it in nanoseconds, of which there are too many",
    ),
    any(CRUN, "hooks::timeout_zero_or_negative_fails", "accepted; config.md: MUST be greater than zero"),
    any(
        CRUN,
        "hooks::poststop_runs_when_a_hook_of_create_fails",
        "they don't run then; runtime.md: the life cycle goes on with them",
    ),
    any(CRUN, "hooks::hook_that_does_not_read*", "dies of SIGPIPE"),
    any(CRUN, "hooks::poststop_runs_although*", "dies of SIGPIPE now and then"),
    any(CRUN, "hooks::state_on_stdin_*", "other values of status, bundle and pid"),
    any(CRUN, "hooks::missing_program_at_*", "doesn't say what is missing"),
    any(
        RUNC,
        "devices::default_device_in_the_config*",
        "a default device in the config loses its default device rule",
    ),
    any(RUNC, "devices::numbers_missing_fail", "accepted as 0:0; config-linux.md: REQUIRED unless type is p"),
    any(CRUN, "devices::numbers_missing_fail", "accepted as 0:0; config-linux.md: REQUIRED unless type is p"),
    any(
        RUNC,
        "devices::another_file_at_the_path_fails",
        "a file that is there is taken for the device; config-linux.md: MUST generate an error",
    ),
    any(
        CRUN,
        "devices::another_file_at_the_path_fails",
        "a file that is there is taken for the device; config-linux.md: MUST generate an error",
    ),
    any(CRUN, "devices::unknown_type_fails", "an unknown type is a character device"),
    any(
        RUNC,
        "seccomp::errno_of_an_action_that_takes_none_fails",
        "the errno is ignored; config-linux.md: the runtime MUST fail",
    ),
    any(
        CRUN,
        "seccomp::notify_without_a_listener_fails",
        "the filter is loaded, and its calls wait for nobody",
    ),
    any(RUNC, "seccomp::flag_log*", "does not know seccomp flags, which are newer"),
    any(CRUN, "seccomp::unknown_flag_fails", "an unknown flag is ignored"),
    any(CRUN, "tty::console_socket_without_terminal_fails", "a console socket without a terminal is ignored"),
    any(CRUN, "tty::terminal_without_socket*", "says it in other words"),
    any(
        CRUN,
        "tty::console_of_the_image*",
        "makes a file on the host through the image's link (CVE-2026-88264)",
    ),
    any(CRUN, "process::rlimits_few_descriptors_after_many_mounts", "opens more once the limits are set"),
    any(CRUN, "tty::foreground_size_is_passed", "the size is passed late"),
    any(RUNC, "tty::foreground_after_a_stop", "leaves the terminal the shell's modes"),
    any(CRUN, "tty::foreground_after_a_stop", "leaves the terminal the shell's modes"),
    any(CRUN, "tty::foreground_after_the_background", "stops where it would set the terminal's modes"),
    any(RUNC, "contract::kill_by_a_regular*", "--regex is crun's"),
    any(RUNC, "contract::delete_by_a_regular*", "--regex is crun's"),
    any(RUNC, "contract::signals*", "forwards SIGURG; newer ones don't"),
    any(RUNC, "contract::exec_passes_listen_fds", "passes them to `run` only, whatever its manual page says"),
    any(CRUN, "contract::signals*", "forwards SIGURG and SIGCHLD"),
    any(CRUN, "contract::exec_passes_listen_fds", "passes the descriptors, without the variable"),
    any(CRUN, "contract::root_is_the_default*", "an empty list is [] and not null"),
    any(CRUN, "contract::words*", "says it in other words"),
    any(CRUN, "contract::list_goes_on*", "leaves it out without a word"),
    any(RUNC, "cli::flags_create_detach_is_tolerated", "our own tolerance: engines have passed it"),
    any(RUNC, "cli::global_flags_of_podman*", "--cgroup-manager is crun's"),
    any(RUNC, "cgroup::disabled_manager*", "--cgroup-manager is crun's"),
    any(RUNC, "cli::features_is_a_document", "of an older specification, without mountExtensions"),
    any(RUNC, "cli::config_flag*", "--config is crun's"),
    any(CRUN, "cli::*", "has a command line of its own; the suite is about runc's"),
    // Scenarios of docs/security.md. One that shows a weakness is here only where its project has published that.
    any(RUNC, "security::t02_*", OWN_BINARY),
    any(CRUN, "security::t02_*", OWN_BINARY),
    any(RUNC, "security::t03_joining_process_in_a_user_namespace*", OWN_INIT),
    any(CRUN, "security::t03_joining_process_in_a_user_namespace*", OWN_INIT),
    any(RUNC, "security::t05_*", "a created container holds some descriptors of the runtime's"),
    any(RUNC, "security::t07_*", DEV_LINK),
    any(CRUN, "security::t07_*", "leaves the cgroups of a failed create"),
    any(RUNC, "security::t11_masks_*", "CVE-2025-31133; fixed in 1.2.8"),
    any(RUNC, "security::t11_null_device_of_the_host*", OWN_NULL),
    any(CRUN, "security::t11_null_device_of_the_host*", OWN_NULL),
    any(CRUN, "security::t13_*", "CVE-2026-88264; fixed in 1.30"),
    any(CRUN, "security::t14_*", "CVE-2026-88265; fixed in 1.30"),
    any(RUNC, "security::t15_parameters_through_a_proc_of_the_host*", OWN_PROC),
    any(CRUN, "security::t15_parameters_through_a_proc_of_the_host*", OWN_PROC),
    any(RUNC, "security::t16_*", DEV_LINK),
    any(
        RUNC,
        "security::t20_mounts_of_the_host_stay",
        "a create fails now and then while the host's mounts change",
    ),
    any(CRUN, "security::t21_*", "--cap replaces the container's capabilities; runc adds to them"),
    any(CRUN, "security::t22_*", "a capability that is unknown is left out without a word"),
    any(RUNC, "security::t23_*", "user ids end at 2147483647"),
    any(CRUN, "security::t23_*", "has other rules for users"),
    any(RUNC, "security::t25_*", DEVPTS_GROUP),
    any(CRUN, "security::t25_*", DEVPTS_GROUP),
    any(RUNC, "security::t26_*", "makes calls of its own under the filter"),
    any(CRUN, "security::t26_*", "makes calls of its own under the filter"),
    any(CRUN, "security::t27_*", "a key with a newline is refused in two lines"),
    any(
        RUNC,
        "security::t28_cgroups_of_others",
        "takes a cgroup with processes, and warns; newer runc (1.2) does not",
    ),
    any(RUNC, "security::t31_*", HOOK_ENVIRONMENT),
    any(CRUN, "security::t31_*", HOOK_ENVIRONMENT),
    any(RUNC, "security::t35_*", "a blocked signal mask is inherited"),
    any(CRUN, "security::t35_*", "does not run with its standard streams closed"),
    any(CRUN, "security::t36_pid_of_a_member*", "holds no member by a pidfd: nothing to stop it before"),
    any(RUNC, "security::t37_*", "says it in other words"),
    any(CRUN, "security::t37_*", "has other rules for ids"),
    any(RUNC, "security::t39_*", CONFIG_AGAIN),
    any(CRUN, "security::t39_*", "noNewPrivileges of a command is a flag of its own"),
    any(RUNC, "security::t41_*", "each mask is a file system; newer runc (1.3.6) makes one"),
    any(CRUN, "security::t41_*", "each mask is a file system"),
    any(RUNC, "faults::f05_*", OTHER_RECORDS),
    any(CRUN, "faults::f05_*", OTHER_RECORDS),
    any(RUNC, "faults::errno_*", GO_ENDS),
    any(RUNC, "faults::crash_*", OTHER_RECORDS),
    any(CRUN, "faults::crash_*", OTHER_RECORDS),
    any(RUNC, "faults::f12_*", OTHER_RECORDS),
    any(CRUN, "faults::f12_*", OTHER_RECORDS),
    any(RUNC, "faults::f22_*", OTHER_RECORDS),
    any(CRUN, "faults::f22_*", OTHER_RECORDS),
    any(RUNC, "faults::f33_record*", OTHER_RECORDS),
    any(CRUN, "faults::f33_record*", OTHER_RECORDS),
    any(RUNC, "faults::f35_*", OTHER_RECORDS),
    any(CRUN, "faults::f35_*", OTHER_RECORDS),
    any(RUNC, "faults::f47_*", OTHER_RECORDS),
    any(CRUN, "faults::f47_*", OTHER_RECORDS),
    any(RUNC, "faults::f06_*", "start ends before the hook has run"),
    any(CRUN, "faults::f06_*", "start ends before the hook has run"),
    any(RUNC, "faults::f08_*", OTHER_WORDS_SAID),
    any(CRUN, "faults::f08_*", OTHER_WORDS_SAID),
    any(
        RUNC,
        "faults::f09_state_root_that_is_read_only",
        "a delete that can't remove its directory says so, and succeeds",
    ),
    any(RUNC, "faults::f09_state_root_without_space", OTHER_WORDS_SAID),
    any(CRUN, "faults::f09_state_root_that_fills_up", "an update records nothing, and needs no space"),
    any(CRUN, "faults::f09_*", OTHER_WORDS_SAID),
    any(RUNC, "faults::f11_*", "a deletion that comes second fails in words of its own"),
    any(CRUN, "faults::f11_*", "a deletion that comes second fails in words of its own"),
    any(RUNC, "faults::f17_*", "an empty cgroup that was there before is used, and removed"),
    any(CRUN, "faults::f17_*", "an empty cgroup that was there before is used, and removed"),
    any(RUNC, "faults::f18_cgroups_that_are_read_only", "says it in two lines"),
    any(
        CRUN,
        "faults::f18_cgroups_that_are_read_only",
        "a delete says nothing of a cgroup that it can't remove",
    ),
    any(
        RUNC,
        "faults::f14_process_of_another*",
        "a delete that can't remove its cgroup says so, and succeeds",
    ),
    any(RUNC, "faults::f20_config_that_is_no_file", "waits for who writes to a config that is a FIFO"),
    any(RUNC, "faults::f21_root_on_odd_file_systems", "a program that can't be executed is found at start"),
    any(RUNC, "faults::f24_*", "does not name the hook that fails"),
    any(RUNC, "faults::f25_console_socket_that_nobody_accepts", OTHER_WORDS_SAID),
    any(RUNC, "faults::f28_*", "an exec needs more than one pid, and says it in other words"),
    any(RUNC, "faults::f29_*", "needs more memory to make a container"),
    any(RUNC, "faults::f32_caller_with_a_umask*", "directories are made with the caller's umask"),
    any(RUNC, "faults::f32_output*", "a state that it can't print is no error"),
    any(RUNC, "faults::f32_caller_ignores*", "signal 32 stays ignored"),
    any(RUNC, "faults::f37_*", "needs the host's /proc"),
    any(CRUN, "faults::f39_runtime_in_a_container", "warns that it can't raise the limit of locked memory"),
    any(CRUN, "faults::f40_exec_into_an_ending_container", "exits 1 on its own errors, runc 255"),
    any(CRUN, "faults::f41_*", "takes no `--` after the id"),
    any(RUNC, "faults::f42_*", HALF_DONE),
    any(CRUN, "faults::f42_*", HALF_DONE),
    any(CRUN, "faults::f44_programs*", "exits 1 on its own errors, runc 255"),
];

const fn on(
    lane: Lane,
    runtime: (&'static str, &'static str),
    test: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { runtime, lane: Some(lane), test, reason }
}

/// Other words for the same failure: the words are runc's.
const OTHER_WORDS: &[(&str, &str, &[&str])] = &[
    ("crun", "does not exist", &["no such file or directory"]),
    ("crun", "container with given id already exists", &["already exists"]),
    ("crun", "executable file not found in $path", &["not found in $path"]),
    ("crun", "cannot start an already running container", &["exec.fifo"]),
    ("crun", "cannot start a container that has stopped", &["is not running"]),
    ("crun", "container not running", &["no such process", "is not running"]),
    ("crun", "that is not stopped", &["is not in `created` or `stopped` state"]),
];

/// What a runtime may say instead of runc's words.
#[must_use]
pub fn other_words(runtime: &str, words: &str) -> &'static [&'static str] {
    OTHER_WORDS
        .iter()
        .find(|(name, ours, _)| *name == runtime && ours.eq_ignore_ascii_case(words))
        .map_or(&[], |(_, _, other)| other)
}

/// The reason why a test is not run against a runtime.
#[must_use]
pub fn known(runtime: &Runtime, lane: Lane, test: &str) -> Option<&'static str> {
    let applies = |difference: &&Difference| {
        let (name, version) = difference.runtime;
        let named = match difference.test.strip_suffix('*') {
            Some(prefix) => test.starts_with(prefix),
            None => test == difference.test,
        };
        named
            && runtime.name == name
            && runtime.version.starts_with(version)
            && difference.lane.is_none_or(|only| only == lane)
    };
    DIFFERENCES.iter().find(applies).map(|difference| difference.reason)
}
