use super::*;

#[test]
fn scratch() {
    for path in std::env::var("BOMBS").unwrap_or_default().split(':') {
        let bytes = std::fs::read(path).unwrap();
        let begun = std::time::Instant::now();
        println!("{path} {:?} {:?}", Complexity::of(&bytes), begun.elapsed());
    }
}
