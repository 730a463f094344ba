//! Progress where there is no terminal: a line a second, and nothing is taken back.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::TermLike;

use crate::streams;

/// How often what is drawn is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes what would be drawn as lines of their own.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Drawing>);

/// When something was written last, and whether what is being drawn now is.
#[derive(Debug, Default)]
struct Drawing {
    written: Option<Instant>,
    is_written: Option<bool>,
}

impl Drawing {
    /// Whether a line that is drawn now is written: all of a drawing are, or none.
    fn takes_line(&mut self, now: Instant) -> bool {
        let is_time = self.written.is_none_or(|then| now.duration_since(then) >= INTERVAL);
        let is_written = *self.is_written.get_or_insert(is_time);
        if is_written {
            self.written = Some(now);
        }
        is_written
    }

    fn end(&mut self) {
        self.is_written = None;
    }
}

impl Lines {
    fn drawing(&self) -> std::sync::MutexGuard<'_, Drawing> {
        self.0.lock().expect("no holder panics")
    }
}

impl TermLike for Lines {
    fn width(&self) -> u16 {
        100
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let line = text.trim();
        if !line.is_empty() && self.drawing().takes_line(Instant::now()) {
            streams::say(line);
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.drawing().end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_drawing_with_all_its_lines() {
        let (start, mut drawing) = (Instant::now(), Drawing::default());
        let mut drawn = |after: f32| {
            let now = start + Duration::from_secs_f32(after);
            let lines = [drawing.takes_line(now), drawing.takes_line(now)];
            drawing.end();
            lines
        };
        assert_eq!(drawn(0.0), [true, true]);
        assert_eq!(drawn(0.1), [false, false]);
        assert_eq!(drawn(0.9), [false, false]);
        assert_eq!(drawn(1.0), [true, true]);
        assert_eq!(drawn(1.9), [false, false]);
    }
}
