//! Draws the plot of what comes in at each node.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Around the lines, for numbers and names.
const MARGIN: f64 = 60.0;
/// At the right, for the names of the lines.
const NAMES: f64 = 130.0;
/// Far apart for most eyes, on paper too.
const COLOURS: [&str; 6] = ["#888888", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00"];

/// Draws lines of (nodes, KB/s), each with its name.
pub(crate) fn draw(lines: &[(String, Vec<(f64, f64)>)]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (nodes_max, kb_max) = points().fold((1.0_f64, 1.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    let x = |nodes: f64| MARGIN + (nodes - 1.0) / (nodes_max - 1.0).max(1.0) * (WIDTH - 2.0 * MARGIN - NAMES);
    let y = |kb: f64| HEIGHT - MARGIN - kb / kb_max * (HEIGHT - 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"30\" font-size=\"14\">KB that come in at each node every second, as nodes are added</text>\n"
    );
    for quarter in 0..=4 {
        let kb = kb_max * f64::from(quarter) / 4.0;
        let (left, right, at) = (x(1.0), x(nodes_max), y(kb));
        let _ = writeln!(svg, "<path d=\"M{left:.0} {at:.0}H{right:.0}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{kb:.0}</text>", left - 8.0, at + 4.0);
    }
    for (nodes, _) in lines.first().map(|(_, points)| points).into_iter().flatten() {
        let (at, below) = (x(*nodes), HEIGHT - MARGIN + 20.0);
        let _ = writeln!(svg, "<text x=\"{at:.0}\" y=\"{below:.0}\" text-anchor=\"middle\">{nodes}</text>");
    }
    let mut at = MARGIN;
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<_> = points.iter().map(|(nodes, kb)| format!("{:.1} {:.1}", x(*nodes), y(*kb))).collect();
        let _ = writeln!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L"));
        let left = WIDTH - MARGIN - NAMES + 16.0;
        let _ = writeln!(svg, "<text x=\"{left:.0}\" y=\"{at:.0}\" fill=\"{colour}\">{name}</text>");
        at += 18.0;
    }
    svg + "</svg>\n"
}
