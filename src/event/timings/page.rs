//! `--timings-report`: where the time went, as one page that needs nothing else: no script, no font, no other file.

use std::fmt::Write;
use std::time::Duration;

use super::history::Past;
use super::spans::{Phase, Span};
use super::{SidecarTimings, Timings};
use crate::report::elapsed::human;
use crate::report::escape::escape;

const STYLE: &str = include_str!("page.css");
/// Labels of the axis at most: more of them collide on a telephone.
const TICKS: u32 = 5;

/// The page of a launch at this moment, beside earlier ones.
#[must_use]
pub fn page(timings: &Timings, past: &Past, now: Duration) -> String {
    let critical = timings.critical_path();
    let earlier = |sidecar: &SidecarTimings| past.latest(&sidecar.container, &sidecar.action);
    let ends = timings.sidecars.iter().flat_map(|sidecar| {
        earlier(sidecar).into_iter().map(|total| sidecar.begun() + total).collect::<Vec<_>>()
    });
    let end = timings.all_ready.unwrap_or(now);
    let scale = Scale(ends.max().unwrap_or_default().max(end).max(Duration::from_millis(1)));
    let heading = match timings.all_ready {
        Some(all) => format!("farrier: all sidecars were ready after {}", human(all)),
        None => format!("farrier: after {}, not all sidecars were ready", human(end)),
    };
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{heading}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n<p class=\"quiet\">{}</p>\n",
        html(&timings.before_sidecars())
    );
    text.push_str(&path(&critical));
    text.push_str(&legend(timings, end));
    text.push_str(&axis(scale));
    for sidecar in &timings.sidecars {
        text.push_str(&section(sidecar, &earlier(sidecar), critical.contains(&sidecar), scale, end));
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// The moment at the right edge.
#[derive(Clone, Copy)]
struct Scale(Duration);

impl Scale {
    fn percent(self, at: Duration) -> f64 {
        at.as_secs_f64() / self.0.as_secs_f64() * 100.0
    }

    fn place(self, from: Duration, length: Duration) -> String {
        format!("left:{:.3}%;width:{:.3}%", self.percent(from), self.percent(length))
    }
}

/// Text of others, inert in a page.
fn html(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for character in escape(text).chars() {
        match character {
            '&' => inert.push_str("&amp;"),
            '<' => inert.push_str("&lt;"),
            '>' => inert.push_str("&gt;"),
            '"' => inert.push_str("&quot;"),
            '\'' => inert.push_str("&#39;"),
            _ => inert.push(character),
        }
    }
    inert
}

fn path(critical: &[&SidecarTimings]) -> String {
    let names: Vec<String> = critical.iter().map(|sidecar| html(&sidecar.name)).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!("<p>★ the last to be ready: {only}</p>\n"),
        several => format!("<p>★ the critical path: {}</p>\n", several.join(" → ")),
    }
}

fn legend(timings: &Timings, now: Duration) -> String {
    let spans: Vec<Span> = timings.sidecars.iter().flat_map(|sidecar| sidecar.spans(now)).collect();
    let mut text = "<p class=\"legend\">".to_owned();
    for phase in Phase::ALL {
        if spans.iter().any(|span| span.phase == phase) {
            let word = phase.word();
            let _ = write!(text, "<span><i class=\"{word}\"></i>{word}</span>");
        }
    }
    text + "</p>\n"
}

/// Round numbers along the top.
fn axis(scale: Scale) -> String {
    let least = scale.0.as_secs_f64() * 1_000.0 / f64::from(TICKS);
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least);
    let step = step.unwrap_or(least);
    let mut text = "<div class=\"axis\">".to_owned();
    for tick in 0..=TICKS {
        let Ok(at) = Duration::try_from_secs_f64(f64::from(tick) * step / 1_000.0) else { break };
        // A label at the very edge has no room.
        if scale.percent(at) < 95.0 {
            let _ = write!(text, "<span style=\"left:{:.3}%\">{}</span>", scale.percent(at), human(at));
        }
    }
    text + "</div>\n"
}

fn section(
    sidecar: &SidecarTimings,
    earlier: &[Duration],
    is_critical: bool,
    scale: Scale,
    now: Duration,
) -> String {
    let spans = sidecar.spans(now);
    let total = sidecar.parts().total.map_or_else(|| "not ready".to_owned(), human);
    let classes = match (is_critical, sidecar.ready.is_none()) {
        (true, _) => " class=\"critical\"",
        (_, true) => " class=\"failed\"",
        _ => "",
    };
    let mut text = format!(
        "<section{classes}>\n<h2><b>{}</b> <small>{}</small> <span class=\"total\">{total}</span></h2>\n",
        html(&sidecar.name),
        html(&sidecar.action)
    );
    text.push_str("<div class=\"track\">");
    for span in &spans {
        let (word, length) = (span.phase.word(), span.length());
        let open = if span.has_ended { "" } else { " open" };
        let place = scale.place(span.from, length);
        let _ = write!(
            text,
            "<div class=\"{word}{open}\" style=\"{place}\" title=\"{word} {}\"></div>",
            human(length)
        );
    }
    for answer in &sidecar.answers {
        let (left, title) = (scale.percent(answer.at), html(&answer.text));
        let _ = write!(text, "<i style=\"left:{left:.3}%\" title=\"{title}\"></i>");
    }
    text.push_str("</div>\n");
    for total in earlier {
        let place = scale.place(sidecar.begun(), *total);
        let title = format!("an earlier launch: {}", human(*total));
        let _ =
            writeln!(text, "<div class=\"earlier\"><div style=\"{place}\" title=\"{title}\"></div></div>");
    }
    // Numbers and their units stay together on narrow screens.
    let joined = |text: String| text.replace(' ', "\u{a0}");
    let parts = spans.iter().map(|span| joined(format!("{} {}", span.phase.word(), human(span.length()))));
    let mut parts: Vec<String> = parts.collect();
    if !earlier.is_empty() {
        let totals: Vec<String> = earlier.iter().map(|total| joined(human(*total))).collect();
        parts.push(format!("before: {}", totals.join(", ")));
    }
    let _ = writeln!(text, "<p class=\"quiet\">{}</p>", parts.join(" · "));
    if let Some(failure) = &sidecar.failure {
        let _ = writeln!(text, "<p class=\"failure\">{}</p>", html(failure));
    }
    text.push_str(&answers(sidecar));
    text + "</section>\n"
}

fn answers(sidecar: &SidecarTimings) -> String {
    let count = sidecar.answers.len() + sidecar.more_answers;
    if count == 0 {
        return String::new();
    }
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("<details><summary>{count} distinct answer{plural}</summary>\n<ol>\n");
    for answer in &sidecar.answers {
        let (at, probe, said) = (human(answer.at), html(&answer.probe), html(&answer.text));
        let _ = writeln!(text, "<li><time>{at}</time>{probe}: {said}</li>");
    }
    if sidecar.more_answers > 0 {
        let _ = writeln!(text, "<li>and {} more</li>", sidecar.more_answers);
    }
    text + "</ol>\n</details>\n"
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "each moment may be missing")]
    fn at(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    /// A database, a job that waits for it, and one that did not become ready, with the worst names and answers.
    fn launch() -> Timings {
        let answer = |ms, text: &str| Answer {
            at: Duration::from_millis(ms),
            probe: "tcp".to_owned(),
            text: text.to_owned(),
        };
        let database = SidecarTimings {
            name: "db".to_owned(),
            action: "create".to_owned(),
            planned: Duration::from_millis(10),
            pull_began: at(20),
            pulled: at(120),
            created: at(150),
            started: at(200),
            ready: at(700),
            answers: vec![answer(210, "<script>alert(1)</script>\u{202e}&\"'"), answer(700, "ready")],
            more_answers: 1,
            ..SidecarTimings::default()
        };
        let job = SidecarTimings {
            name: "migrate".to_owned(),
            action: "create".to_owned(),
            is_job: true,
            held: at(10),
            released: at(700),
            created: at(710),
            started: at(720),
            ready: at(900),
            ..SidecarTimings::default()
        };
        let failed = SidecarTimings {
            name: "web".to_owned(),
            action: "reuse".to_owned(),
            planned: Duration::from_millis(10),
            waiting: at(15),
            failed: at(800),
            failure: Some("it said </p><b>no".to_owned()),
            ..SidecarTimings::default()
        };
        Timings {
            connected: at(5),
            planned: at(10),
            sidecars: vec![database, job, failed],
            ..Timings::default()
        }
    }

    #[test]
    fn a_page_shows_each_span_and_what_others_wrote_does_nothing_in_it() {
        let page = page(&launch(), &Past::default(), Duration::from_millis(1_000));
        let (_, body) = page.split_once("<body>").expect("a body");
        insta::assert_snapshot!(body);
        assert!(!page.contains("<script") && !page.contains("<b>no"), "{page}");
    }

    #[test]
    fn a_trace_has_the_same_spans() {
        let trace = super::super::trace_events::trace(&launch(), Duration::from_millis(1_000));
        let trace: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
        let events = trace["traceEvents"].as_array().expect("events").iter();
        let spans = events.filter(|event| event["ph"] == "X").map(|event| {
            format!(
                "{} {} {}+{}",
                event["tid"],
                event["name"].as_str().unwrap_or("?"),
                event["ts"],
                event["dur"]
            )
        });
        let expected = [
            "0 connect 0+5000",
            "0 look 5000+5000",
            "1 pull 20000+100000",
            "1 create 120000+30000",
            "1 start 150000+50000",
            "1 wait 200000+500000",
            "2 held 10000+690000",
            "2 create 700000+10000",
            "2 start 710000+10000",
            "2 run 720000+180000",
            "3 wait 10000+790000",
        ];
        assert_eq!(spans.collect::<Vec<_>>(), expected);
    }
}
