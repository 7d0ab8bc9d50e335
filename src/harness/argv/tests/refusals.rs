//! Commands that run on the host, and commands that are refused with what to do instead.

use super::{check, parse_line};
use crate::report::error::Code;

#[test]
fn host_commands() {
    check(&[
        ("make test", "host"),
        ("/bin/sh -c docker", "host"),
        ("docker", "host"),
        ("docker ps", "host"),
        ("docker exec -it db psql", "host"),
        ("docker -H tcp://h:1 exec db psql", "host engine=tcp://h:1"),
        ("docker --context=far start -a box", "host context=far"),
        ("docker --version run img", "host"),
        ("docker run --help", "host"),
        ("docker run --help img", "host"),
        ("docker container ls", "host"),
        ("docker container", "host"),
        ("docker network create n", "host"),
        ("docker volume create run", "host"),
        ("docker buildx build run", "host"),
        ("docker compose up", "host"),
        ("docker compose exec db run", "host"),
        ("docker compose -p run up", "host"),
        ("docker-compose up", "host"),
        ("nerdctl exec db psql", "host"),
        ("nerdctl volume create run", "host"),
        ("mydocker run img", "host"),
        ("docker.sh run img", "host"),
        ("env", "host"),
        ("env A=1", "host"),
        ("env A=1 make docker run", "host"),
        ("sudo make test", "host"),
        ("sudo docker ps", "host"),
        ("timeout 5 ./run docker run img", "host"),
        ("xargs docker run", "host"),
    ]);
}

#[test]
fn refused_forms() {
    for (line, form) in [
        ("sudo docker run img", "sudo docker run"),
        ("/usr/bin/sudo docker create img", "sudo docker create"),
        ("sudo -E -u root docker container run img", "sudo docker run"),
        ("sudo --user=root A=1 docker run img", "sudo docker run"),
        ("sudo -- docker -H tcp://h:1 run img", "sudo docker run"),
        ("doas -u root docker run img", "doas docker run"),
        ("sudo env A=1 docker run img", "sudo docker run"),
    ] {
        let message =
            format!("the harness is `{form}`: another user's docker, which farrier does not rewrite");
        check(&[(line, &format!("error: {message}"))]);
    }
    check(&[(
        "sudo podman run img",
        "error: the harness is `sudo podman run`: another user's podman, which farrier does not rewrite",
    )]);
    for (line, form, wrapper) in [
        ("env A=1 docker run img", "docker run", "env"),
        ("env -i -u B A=1 C= /usr/bin/docker run img", "docker run", "env"),
        ("env - docker create img", "docker create", "env"),
        ("time -p docker run img", "docker run", "time"),
        ("nice -n 5 docker run img", "docker run", "nice"),
        ("nice -5 docker run img", "docker run", "nice"),
        ("nohup docker run img", "docker run", "nohup"),
        ("exec docker run img", "docker run", "exec"),
        ("timeout -k 5 --signal KILL 10 docker run img", "docker run", "timeout"),
        ("timeout --kill-after=5 10 docker run img", "docker run", "timeout"),
        ("taskset -c 0,1 docker run img", "docker run", "taskset"),
        ("stdbuf -oL docker run img", "docker run", "stdbuf"),
        ("nice ionice -c3 docker run img", "docker run", "nice"),
    ] {
        let message = format!("the harness is `{form}` behind `{wrapper}`, which farrier does not rewrite");
        check(&[(line, &format!("error: {message}"))]);
    }
    for (line, form) in [
        ("docker compose run web", "docker compose run"),
        ("docker -H tcp://h:1 compose -f a.yml --profile x run web", "docker compose run"),
        ("docker-compose --file a.yml -p x run web", "docker-compose run"),
        ("sudo docker compose run web", "docker compose run"),
        ("podman compose run web", "podman compose run"),
        ("podman-compose run web", "podman-compose run"),
    ] {
        let message = format!("the harness is `{form}`, to which farrier cannot add variables and a network");
        check(&[(line, &format!("error: {message}"))]);
    }
    for (line, form) in [
        ("nerdctl run img", "nerdctl run"),
        ("/usr/bin/nerdctl --debug-full --namespace run create img", "nerdctl create"),
        ("finch container run img", "finch run"),
        ("nerdctl -n k8s.io run img", "nerdctl run"),
        ("sudo nerdctl run img", "nerdctl run"),
    ] {
        let message = format!("the harness is `{form}`, and farrier starts its sidecars on Docker or Podman");
        check(&[(line, &format!("error: {message}"))]);
    }
}

#[test]
fn refused_options() {
    check(&[
        ("", "error: no harness command follows `--`"),
        ("'' run", "error: no harness command follows `--`"),
        ("docker run", "error: `docker run` of the harness has no image"),
        ("docker run --rm", "error: `docker run` of the harness has no image"),
        ("docker run --rm --", "error: `docker run` of the harness has no image"),
        ("docker run --name img", "error: `docker run` of the harness has no image"),
        ("docker create ''", "error: `docker create` of the harness has no image"),
        ("docker run --name", "error: `docker run` ends after `--name`, which needs a value"),
        ("docker run -ite", "error: `docker run` ends after `-e`, which needs a value"),
        ("docker -H", "error: `docker` ends after `-H`, which needs a value"),
        ("docker run --novel img", "error: `docker run` has no option `--novel` that farrier knows"),
        ("docker run -Z img", "error: `docker run` has no option `-Z` that farrier knows"),
        ("docker run -iZ5 img", "error: `docker run` has no option `-Z` that farrier knows"),
        ("docker run -é img", "error: `docker run` has no option `-é` that farrier knows"),
        ("docker run -i= img", "error: `docker run` has no option `-=` that farrier knows"),
        ("docker create -d img", "error: `docker create` has no option `-d` that farrier knows"),
        ("docker --novel run img", "error: `docker` has no option `--novel` that farrier knows"),
        ("docker run --=x img", "error: `--` is not an option of `docker run`"),
        ("docker run ---x img", "error: `---x` is not an option of `docker run`"),
        (
            "docker run --rm=maybe img",
            "error: `--rm` of `docker run` is a switch, and its value is neither true nor false",
        ),
        ("docker -H a -H b run img", "error: the harness gives docker more than one `--host`"),
        ("docker -H a -c b run img", "error: the harness gives docker both `--host` and `--context`"),
    ]);
}

#[test]
fn every_refusal_says_what_to_do() {
    for line in [
        "",
        "docker run",
        "docker run --novel x",
        "docker run --nmae x",
        "docker create -d x",
        "docker run -e",
        "docker run ---x",
        "docker run --rm=x",
        "docker -H a -H b run x",
        "docker -H a -c b run x",
        "docker run --network= x",
        "docker run --network ns:a x",
        "docker run --network a --network a x",
        "docker run --network a --network none x",
        "sudo docker run x",
        "nice docker run x",
        "docker compose run x",
        "nerdctl run x",
        "sudo podman run x",
        "podman run --novel x",
    ] {
        let problem = parse_line(line).expect_err(line);
        assert_eq!(problem.code, Code::HarnessShape, "{line}");
        assert!(!problem.hints.is_empty(), "{line}");
        assert!(problem.hints.iter().all(|hint| hint.ends_with('.')), "{line}: {:?}", problem.hints);
        assert!(!problem.message.ends_with('.'), "{line}");
    }
}

#[test]
fn hints_fit_the_mistake() {
    for (line, hint) in [
        ("docker run --netwrok n img", "Did you mean `--network`? Correct the harness command."),
        ("docker run --nmae n img", "Did you mean `--name`? Correct the harness command."),
        ("docker run --novel n img", "If it is newer than this version of farrier, write `--novel=VALUE`"),
        ("docker create --detach img", "Leave `--detach` out: only `docker run` has it."),
        ("docker create -d img", "Leave `-d` out: only `docker run` has it."),
    ] {
        let problem = parse_line(line).expect_err(line);
        let is_there = problem.hints.iter().any(|text| text.starts_with(hint));
        assert!(is_there, "{line}: {:?}", problem.hints);
    }
}
