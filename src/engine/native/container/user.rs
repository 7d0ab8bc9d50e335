//! Who an image's process is: `user[:group]` by name or number, as Docker reads it, with the image's own lists of users and
//! groups.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// The largest list that is read.
const MOST_BYTES: u64 = 16 << 20;

/// A user with groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u32,
    pub group: u32,
    /// Its supplementary groups: its own one, too, as Docker has it.
    pub groups: Vec<u32>,
    /// Its home directory; `None` if no list names it.
    pub home: Option<String>,
}

impl User {
    /// The user with this name, in the root directory of this process.
    pub fn find(user: &str) -> io::Result<Self> {
        let list = |path: &str| list(path).unwrap_or_default();
        Self::of(user, &list("/etc/passwd"), &list("/etc/group")).map_err(io::Error::other)
    }

    fn of(text: &str, users: &str, groups: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number = user.parse::<u32>().ok().filter(|id| *id < u32::MAX);
        let lines = || users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let is_its =
            |line: &Vec<&str>| line.first() == Some(&user) || (number.is_some() && field(line, 2) == number);
        let line = lines().find(is_its);
        let id = line.as_ref().and_then(|line| field(line, 2)).or(number);
        let id = id.ok_or_else(|| format!("the image has no user `{user}`"))?;
        let own_group = line.as_ref().and_then(|line| field(line, 3)).unwrap_or(0);
        let name = line.as_ref().and_then(|line| line.first().copied()).unwrap_or_default();
        let group_lines = || groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let group = match group {
            None => None,
            Some(group) => {
                let number = group.parse::<u32>().ok().filter(|id| *id < u32::MAX);
                let found = group_lines().find(|line| line.first() == Some(&group));
                let found = found.and_then(|line| field(&line, 2)).or(number);
                Some(found.ok_or_else(|| format!("the image has no group `{group}`"))?)
            }
        };
        // With a group of its own, a user has no others: as Docker has it.
        let is_member = |line: &Vec<&str>| {
            let members = line.get(3).copied().unwrap_or_default();
            !name.is_empty() && members.split(',').any(|member| member == name)
        };
        let others = group_lines().filter(|_| group.is_none()).filter(is_member);
        let group = group.unwrap_or(own_group);
        let mut groups = vec![group];
        groups.extend(others.filter_map(|line| field(&line, 2)).filter(|other| *other != group));
        let home = line.as_ref().and_then(|line| line.get(5).copied()).filter(|home| !home.is_empty());
        Ok(Self { id, group, groups, home: home.map(str::to_owned) })
    }
}

fn field(line: &[&str], index: usize) -> Option<u32> {
    line.get(index)?.parse().ok()
}

/// A list of the image's, which may be anything.
fn list(path: &str) -> io::Result<String> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nredis:x:999:1000::/data:/bin/false\nbroken\nodd:x:y:z\n";
    const GROUPS: &str = "root:x:0:\nredis:x:1000:\nssl:x:101:redis,other\nstaff:x:50:redis\n";

    #[test]
    fn users_are_found_as_docker_finds_them() {
        let user = |id, group, groups: &[u32], home: Option<&str>| User {
            id,
            group,
            groups: groups.to_vec(),
            home: home.map(str::to_owned),
        };
        for (text, found) in [
            ("", user(0, 0, &[0], Some("/root"))),
            ("root", user(0, 0, &[0], Some("/root"))),
            ("redis", user(999, 1000, &[1000, 101, 50], Some("/data"))),
            ("999", user(999, 1000, &[1000, 101, 50], Some("/data"))),
            ("999:0", user(999, 0, &[0], Some("/data"))),
            ("redis:ssl", user(999, 101, &[101], Some("/data"))),
            ("1234", user(1234, 0, &[0], None)),
            ("1234:5678", user(1234, 5678, &[5678], None)),
            (":redis", user(0, 1000, &[1000], Some("/root"))),
            ("redis:", user(999, 1000, &[1000, 101, 50], Some("/data"))),
        ] {
            assert_eq!(User::of(text, USERS, GROUPS), Ok(found), "{text}");
        }
        assert_eq!(User::of("0", "", ""), Ok(user(0, 0, &[0], None)));
        for text in ["nobody", "redis:none", "odd", "-1", "4294967295", "99999999999"] {
            assert!(User::of(text, USERS, GROUPS).is_err(), "{text}");
        }
    }
}
