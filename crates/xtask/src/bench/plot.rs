//! Figures as SVG: bars where there is one figure each, lines over the variants otherwise.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::contestant::{FLOOR, OURS};
use super::document::{Measured, Series};
use super::groups::LIBRARY;
use super::table::figure;
use crate::error::{Context, Failure, Result};

const WIDTH: u32 = 720;
const ROW: u32 = 34;
const FONT: &str = "sans-serif";
/// Left of the bars: the names.
const NAMES: i32 = 170;
/// Right of the longest bar: its figure.
const FIGURES: i32 = 90;

/// The same in all pictures. Ours stands out, the floor stands back.
fn colour(name: &str) -> RGBColor {
    let first = name.split([',', ' ']).next().unwrap_or(name);
    match first {
        OURS | LIBRARY | "container" => RGBColor(0x1b, 0x7f, 0x4b),
        FLOOR => RGBColor(0xa8, 0xb0, 0xb8),
        "crun" => RGBColor(0xe0, 0x8a, 0x1e),
        "runc" => RGBColor(0x4c, 0x8b, 0xc9),
        "youki" => RGBColor(0x9a, 0x6f, 0xb8),
        // Others by their name.
        _ => {
            let sum = first.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
            RGBColor(0x90 | sum & 0x3f, 0x50 | sum >> 3, 0x70)
        }
    }
}

/// Whether a picture says more than its table.
pub(super) fn is_worth_it(measured: &Measured) -> bool {
    measured.rows.len() > 1
}

/// Draws a series into a file.
pub(super) fn draw(measured: &Measured, title: &str, file: &Path) -> Result<()> {
    let series = Series::of(&measured.series).ok_or_else(|| Failure::new("no such series"))?;
    let numbers: Option<Vec<f64>> = measured.variants().iter().map(|variant| variant.parse().ok()).collect();
    let drawn = match numbers {
        Some(at) if at.len() > 1 => lines(measured, series, title, file, &at),
        _ => bars(measured, series, title, file),
    };
    drawn.map_err(|error| Failure::new(error.to_string())).context(file.display())
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn area(file: &Path, height: u32) -> DrawingArea<SVGBackend<'_>, Shift> {
    SVGBackend::new(file, (WIDTH, height)).into_drawing_area()
}

fn bars(measured: &Measured, series: &Series, title: &str, file: &Path) -> Drawn {
    let area = area(file, 48 + ROW * measured.rows.len() as u32);
    area.fill(&WHITE)?;
    let text = |size: i32| (FONT, size).into_font().color(&BLACK);
    area.draw(&Text::new(format!("{title}, {}", series.unit.name()), (12, 12), text(17)))?;
    let most = measured.rows.iter().map(|row| row.median).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let room = f64::from(WIDTH as i32 - NAMES - FIGURES);
    for (index, row) in measured.rows.iter().enumerate() {
        let top = 44 + index as i32 * ROW as i32;
        let end = NAMES + (row.median / most * room) as i32;
        let name = [row.contestant.as_str(), row.variant.as_str()].join(" ");
        area.draw(&Text::new(name.trim().to_owned(), (12, top + 4), text(15)))?;
        let fill = colour(&row.contestant).filled();
        area.draw(&Rectangle::new([(NAMES, top), (end.max(NAMES + 1), top + 22)], fill))?;
        area.draw(&Text::new(figure(row.median), (end + 8, top + 4), text(15)))?;
    }
    area.present()?;
    Ok(())
}

fn lines(measured: &Measured, series: &Series, title: &str, file: &Path, at: &[f64]) -> Drawn {
    let area = area(file, 380);
    area.fill(&WHITE)?;
    let most = measured.rows.iter().map(|row| row.median).fold(0.0, f64::max);
    let least = measured.rows.iter().map(|row| row.median).fold(f64::INFINITY, f64::min);
    let (first, last) =
        at.iter().fold((f64::INFINITY, 0.0), |(low, high), x| (f64::min(low, *x), f64::max(high, *x)));
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((first * 0.9..last * 1.1).log_scale(), (least * 0.7..most * 1.4).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(series.variants)
        .y_desc(series.unit.name())
        .x_label_formatter(&|x| figure_of_axis(*x))
        .y_label_formatter(&|y| figure_of_axis(*y))
        .light_line_style(WHITE)
        .label_style((FONT, 13))
        .draw()?;
    for name in measured.contestants() {
        let colour = colour(name);
        let points: Vec<(f64, f64)> = measured
            .rows
            .iter()
            .filter(|row| row.contestant == name)
            .filter_map(|row| Some((row.variant.parse().ok()?, row.median)))
            .collect();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .label_font((FONT, 13))
        .draw()?;
    area.present()?;
    Ok(())
}

fn figure_of_axis(number: f64) -> String {
    if number >= 1.0 { format!("{number:.0}") } else { format!("{number}") }
}
