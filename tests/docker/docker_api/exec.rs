//! Commands in containers, and what containers write.

use farrier::engine::EngineErrorKind::Conflict;
use farrier::engine::{ExecOutput, ExecRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::setup::{TestEngine, contract, kind, words};

contract! {
    a_command_gives_its_exit_code_and_both_outputs,
    output_beyond_the_limit_is_cut,
    a_program_that_is_not_there_is_exit_126_or_127_with_the_engines_words,
    what_does_not_run_takes_no_command,
    an_attached_command_reads_and_writes_until_its_input_ends,
    logs_are_the_newest_lines_since_a_moment,
}

fn request(arguments: &[&str], output_limit: usize) -> ExecRequest {
    ExecRequest { arguments: words(arguments), output_limit }
}

async fn a_command_gives_its_exit_code_and_both_outputs(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let cases = [
        (["/fixture", "exit", "0", ""], ExecOutput::default()),
        (["/fixture", "exit", "9", ""], ExecOutput { exit_code: 9, ..ExecOutput::default() }),
        (
            ["/fixture", "print", "hello", ""],
            ExecOutput { stdout: b"hello\n".to_vec(), ..ExecOutput::default() },
        ),
        (
            ["/fixture", "crash", "no", "4"],
            ExecOutput { exit_code: 4, stderr: b"no\n".to_vec(), ..ExecOutput::default() },
        ),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.is_empty()).collect();
        let output = test_engine.engine().exec(&id, &request(&arguments, 1000)).await;
        assert_eq!(output.expect("an output"), expected, "{arguments:?}");
    }
}

async fn output_beyond_the_limit_is_cut(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    for (limit, kept, truncated) in [(6, "hello\n", false), (5, "hello", true), (0, "", true)] {
        let output = test_engine.engine().exec(&id, &request(&["/fixture", "print", "hello"], limit)).await;
        let output = output.expect("an output");
        assert_eq!((output.stdout.as_slice(), output.truncated), (kept.as_bytes(), truncated), "{limit}");
        assert_eq!(output.exit_code, 0);
    }
}

async fn a_program_that_is_not_there_is_exit_126_or_127_with_the_engines_words(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let output = test_engine.engine().exec(&id, &request(&["/absent"], 1000)).await.expect("an output");
    // Newer runtimes tell a missing program from one that is not executable.
    assert!(matches!(output.exit_code, 126 | 127) && !output.truncated, "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("OCI runtime exec failed: exec failed: "), "{text}");
    assert!(text.contains("\"/absent\": stat /absent: no such file or directory"), "{text}");
    assert_eq!(output.stderr, b"");
}

async fn what_does_not_run_takes_no_command(test_engine: &dyn TestEngine) {
    let created =
        test_engine.engine().create(&test_engine.spec("created", &["wait"])).await.expect("a container");
    let exited = test_engine.started("exited", &["exit", "0"]).await;
    test_engine.exited(&exited).await;
    for id in [created, exited] {
        let wanted = request(&["/fixture", "exit", "0"], 10);
        assert_eq!(kind(test_engine.engine().exec(&id, &wanted).await), Conflict);
        assert_eq!(
            kind(test_engine.engine().exec_attached(&id, &wanted.arguments).await.map(drop)),
            Conflict
        );
    }
}

async fn an_attached_command_reads_and_writes_until_its_input_ends(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let attached = test_engine.engine().exec_attached(&id, &words(&["/fixture", "cat"])).await;
    let mut attached = attached.expect("an attached command");
    for text in [b"ping\n", b"pong\n"] {
        attached.input.write_all(text).await.expect("it reads");
        attached.input.flush().await.expect("it reads");
        let mut answer = [0; 5];
        attached.output.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(&answer, text);
    }
    attached.input.shutdown().await.expect("its input ends");
    let mut rest = Vec::new();
    attached.output.read_to_end(&mut rest).await.expect("it ends");
    assert_eq!(rest, b"");
}

/// The engine's time, as logs take it. A start's own moment will not do: the engine takes it only when the
/// process runs, and may have read a line of it by then.
async fn now(test_engine: &dyn TestEngine) -> String {
    let time = test_engine.engine().info().await.expect("an answer").time;
    let (seconds, nanoseconds) = time.split_once('.').expect("seconds and nanoseconds");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let nanoseconds = i32::try_from(number(nanoseconds)).expect("less than a second");
    jiff::Timestamp::new(number(seconds), nanoseconds).expect("a moment").to_string()
}

/// Waits until a container wrote so many lines.
async fn wrote(test_engine: &dyn TestEngine, id: &str, lines: usize) {
    while test_engine.engine().logs(id, "", 1000).await.expect("logs").len() < lines {
        tokio::task::yield_now().await;
    }
}

async fn logs_are_the_newest_lines_since_a_moment(test_engine: &dyn TestEngine) {
    let before = now(test_engine).await;
    let command = ["serve", "--port", "7", "--log", "a", "--log", "b"];
    let id = test_engine.started("server", &command).await;
    let logs =
        async |id: &str, since: &str, lines| test_engine.engine().logs(id, since, lines).await.expect("logs");
    wrote(test_engine, &id, 2).await;
    assert_eq!(logs(&id, &before, 1000).await[..2], ["a", "b"]);
    let once = test_engine.started("once", &["crash", "only line", "0"]).await;
    test_engine.exited(&once).await;
    wrote(test_engine, &once, 1).await;
    let between = now(test_engine).await;
    assert_eq!(logs(&once, &before, 1000).await, ["only line"]);
    assert_eq!(logs(&once, &between, 1000).await, Vec::<String>::new());
    test_engine.engine().start(&once).await.expect("it starts again");
    wrote(test_engine, &once, 2).await;
    assert_eq!(logs(&once, &before, 1000).await, ["only line", "only line"]);
    assert_eq!(logs(&once, &between, 1000).await, ["only line"]);
    assert_eq!(logs(&once, &before, 1).await, ["only line"]);
    assert_eq!(logs(&once, &before, 0).await, Vec::<String>::new());
}
