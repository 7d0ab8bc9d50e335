//! Docker's default filter of system calls: what is not in the list is refused (`EPERM`), as are namespaces for `clone`,
//! strange personalities and sockets of virtual machines. `clone3`, whose flags no filter sees, does not exist.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::engine::native::roles::Failure;

/// Makes a list of the numbers of calls.
macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Allowed with any arguments, on every machine.
const ALLOWED: &[libc::c_long] = calls! {
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect
    SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2
    SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fanotify_mark SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl
    SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs
    SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid
    SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid
    SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_get_robust_list SYS_getrusage SYS_getsid
    SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch
    SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_ioctl SYS_io_destroy SYS_io_getevents
    SYS_ioprio_get SYS_ioprio_set SYS_io_setup SYS_io_submit SYS_kill SYS_landlock_add_rule
    SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat SYS_listen SYS_listxattr
    SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_madvise SYS_membarrier SYS_memfd_create
    SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap
    SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend
    SYS_mq_unlink SYS_mremap SYS_mseal SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock
    SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2
    SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll
    SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_process_mrelease SYS_pselect6 SYS_pwrite64
    SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg
    SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat2 SYS_restart_syscall SYS_rseq
    SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn
    SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_getaffinity SYS_sched_getattr
    SYS_sched_getparam SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getscheduler
    SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam
    SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget SYS_semop SYS_semtimedop
    SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups
    SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid
    SYS_set_robust_list SYS_setsid SYS_setsockopt SYS_set_tid_address SYS_setuid SYS_setxattr SYS_shmat
    SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice
    SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create
    SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat
    SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write SYS_writev SYS_process_vm_readv
    SYS_process_vm_writev SYS_ptrace SYS_chroot
};

/// Allowed on machines that have older forms of calls.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = calls! {
    SYS_access SYS_alarm SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fchmodat2 SYS_fork SYS_futimesat SYS_getdents
    SYS_getpgrp SYS_getrlimit SYS_get_thread_area SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir
    SYS_mknod SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_renameat SYS_rmdir SYS_select
    SYS_setrlimit SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink SYS_sync_file_range SYS_time
    SYS_unlink SYS_utime SYS_utimes SYS_vfork SYS_arch_prctl SYS_modify_ldt
};
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// Allowed, and newer than the list of names: `cachestat`, `map_shadow_stack`, `futex_wake`, `futex_wait`, `futex_requeue`,
/// `statmount`, `listmount`, and attributes of files by folder. Their numbers are the same on every machine.
const NEWER: &[libc::c_long] = &[451, 453, 454, 455, 456, 457, 458, 463, 464, 465, 466];

/// Namespaces, which `clone` must not make.
const NAMESPACES: u64 = 0x7e02_0000;
/// What a process may pretend to run on: nothing, no randomisation of addresses, a 32-bit machine's name, both, and what asks
/// for the present one.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Sockets to the host of a virtual machine.
const VSOCK: u64 = 40;
/// Sockets of the internet, and those that ask the kernel about it.
const SOCKETS: [u64; 3] = [2, 10, 16];
/// What means the process that calls.
const ITSELF: u64 = 0;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters, as the kernel takes them.
pub struct Filters(Vec<BpfProgram>);

/// Makes a container's filters for this machine.
pub fn filters() -> io::Result<Filters> {
    let refused = SeccompAction::Errno(number(rustix::io::Errno::PERM));
    let allowed = compile(allowed().map_err(|error| unusable(&error))?, refused, SeccompAction::Allow)?;
    let absent = SeccompAction::Errno(number(rustix::io::Errno::NOSYS));
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    Ok(Filters(vec![allowed, compile(clone3, SeccompAction::Allow, absent)?]))
}

/// Makes a confined program's filters for this machine: those of a container, and what reaches other programs of this host.
pub fn filters_of_program() -> io::Result<Filters> {
    let Filters(mut filters) = filters()?;
    let refused = SeccompAction::Errno(number(rustix::io::Errno::ACCESS));
    filters.push(compile(reaching().map_err(|error| unusable(&error))?, SeccompAction::Allow, refused)?);
    Ok(Filters(filters))
}

/// Makes a filter for this machine that answers one call so, as a kernel without it does.
#[cfg(test)]
pub fn filter_without(call: libc::c_long, answer: rustix::io::Errno) -> io::Result<Filters> {
    let rules = Rules::from([(call, Vec::new())]);
    Ok(Filters(vec![compile(rules, SeccompAction::Allow, SeccompAction::Errno(number(answer)))?]))
}

fn unusable(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("system calls cannot be filtered on this machine: {error}"))
}

fn compile(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> io::Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into();
    let architecture = architecture.map_err(|error: seccompiler::BackendError| unusable(&error))?;
    let filter = SeccompFilter::new(rules, otherwise, matching, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| unusable(&error))
}

/// Filters the calls of this thread from now on, and of everything that it executes.
pub fn apply(filters: &Filters) -> io::Result<()> {
    filters.0.iter().try_for_each(|filter| {
        seccompiler::apply_filter(filter).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                Failure::doing("filter system calls")(error)
            }
            other => io::Error::other(other.to_string()),
        })
    })
}

fn number(errno: rustix::io::Errno) -> u32 {
    errno.raw_os_error().unsigned_abs()
}

fn allowed() -> Result<Rules, seccompiler::BackendError> {
    let all = ALLOWED.iter().chain(OLDER).chain(NEWER).chain([&libc::SYS_clone3]);
    let mut rules: Rules = all.map(|call| (*call, Vec::new())).collect();
    let first = |size: SeccompCmpArgLen, compared: SeccompCmpOp, value: u64| {
        SeccompRule::new(vec![SeccompCondition::new(0, size, compared, value)?])
    };
    let namespaces = first(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![namespaces]);
    rules.insert(libc::SYS_socket, vec![first(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, VSOCK)?]);
    let personalities =
        PERSONALITIES.iter().map(|value| first(SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *value));
    rules.insert(libc::SYS_personality, personalities.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Calls by which a program reaches others of its user that neither files nor signals do: sockets with names in folders, by
/// which they are told what to do, and limits that end them.
fn reaching() -> Result<Rules, seccompiler::BackendError> {
    let is_none_of = |index: u8, values: &[u64]| {
        let conditions = values
            .iter()
            .map(|value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *value));
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    };
    Ok(Rules::from([
        (libc::SYS_socket, vec![is_none_of(0, &SOCKETS)?]),
        (libc::SYS_prlimit64, vec![is_none_of(0, &[ITSELF])?]),
        (libc::SYS_setpriority, vec![is_none_of(1, &[ITSELF])?]),
        (libc::SYS_ioprio_set, vec![is_none_of(1, &[ITSELF])?]),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_made_and_leave_out_what_escapes() {
        let (Filters(container), Filters(program)) =
            (filters().expect("filters"), filters_of_program().expect("filters"));
        assert_eq!((container.len(), program.len()), (2, 3));
        // The kernel takes no more.
        assert!(container.iter().chain(&program).all(|filter| filter.len() < 4096));
        let rules = allowed().expect("rules");
        for call in [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_pivot_root,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_reboot,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        assert_eq!(rules[&libc::SYS_clone].len(), 1);
    }
}
