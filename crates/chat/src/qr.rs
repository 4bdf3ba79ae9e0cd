//! QR codes (ISO/IEC 18004) on a terminal: two modules in each character, one above the other.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code: the standard asks for four, and cameras for what it asks.
const QUIET: usize = 4;

/// Black on white, whatever the colours of the terminal are: the fixed ones of the 256, for a theme may redefine the
/// first sixteen. Cameras read dark on light best.
const DARK_ON_LIGHT: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// The lines of the code for `payload`. Without `color` the light modules are drawn, as for the usual terminal, which
/// is dark. `None` if it does not fit into `columns` or into any code.
#[must_use]
pub fn draw(payload: &str, columns: usize, color: bool) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::M).ok()?;
    let width = code.width() + 2 * QUIET;
    if width > columns {
        return None;
    }
    let modules = code.to_colors();
    // Whether a module is dark; what is outside is not.
    let dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else { return false };
        x < code.width() && modules.get(y * code.width() + x) == Some(&Color::Dark)
    };
    let line = |y: usize| {
        let characters: String = (0..width)
            .map(|x| {
                // The half below the last line is light too.
                let (upper, lower) = (dark(x, y), dark(x, y + 1));
                let (upper, lower) = if color { (upper, lower) } else { (!upper, !lower) };
                match (upper, lower) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                }
            })
            .collect();
        if color { format!("{DARK_ON_LIGHT}{characters}{RESET}") } else { characters }
    };
    Some((0..width).step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str =
        "xmpp:juliet@example.com?e2e-verify;key=0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDE";

    /// What a camera reads: each module as a square of dots, on a dark terminal.
    fn photograph(lines: &[String], color: bool) -> String {
        const DOTS: usize = 5;
        let rows: Vec<Vec<bool>> = lines
            .iter()
            .flat_map(|line| {
                let line = line
                    .strip_prefix(DARK_ON_LIGHT)
                    .and_then(|line| line.strip_suffix(RESET))
                    .unwrap_or(line);
                let halves = |c: char| match c {
                    '█' => (color, color),
                    '▀' => (color, !color),
                    '▄' => (!color, color),
                    ' ' => (!color, !color),
                    _ => panic!("{c:?}"),
                };
                let (upper, lower): (Vec<bool>, Vec<bool>) = line.chars().map(halves).unzip();
                [upper, lower]
            })
            .collect();
        let (width, height) = (rows[0].len() * DOTS, rows.len() * DOTS);
        let dot = |x: usize, y: usize| if rows[y / DOTS][x / DOTS] { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, dot);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_camera_reads_what_is_drawn() {
        for color in [true, false] {
            for payload in [PAYLOAD, "a", "xmpp:%C3%A4@example.com?e2e-verify;key=1"] {
                let lines = draw(payload, 80, color).unwrap();
                assert_eq!(photograph(&lines, color), payload);
            }
        }
    }

    #[test]
    fn colours_are_explicit_and_end_with_the_line() {
        for line in draw(PAYLOAD, 80, true).unwrap() {
            assert!(line.starts_with(DARK_ON_LIGHT) && line.ends_with(RESET), "{line:?}");
        }
        assert!(draw(PAYLOAD, 80, false).unwrap().iter().all(|line| !line.contains('\x1b')));
    }

    #[test]
    fn what_does_not_fit_is_not_drawn() {
        let width = draw(PAYLOAD, 80, false).unwrap()[0].chars().count();
        assert!(draw(PAYLOAD, width, true).is_some());
        assert_eq!(draw(PAYLOAD, width - 1, true), None);
        assert_eq!(draw(&"a".repeat(4_000), usize::MAX, true), None);
    }
}
