//! Progress bars: on stderr, and only when a person watches.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts up to `total`; draws nothing unless stderr is a terminal.
pub(crate) fn counting(total: u64, doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:32.cyan/dim} {pos}/{len}");
    bar(total, doing, style)
}

/// A bar that fills as time goes by, in milliseconds.
pub(crate) fn timing(total: Duration, doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:32.cyan/dim} {elapsed}");
    bar(u64::try_from(total.as_millis()).unwrap_or(u64::MAX), doing, style)
}

fn bar(total: u64, doing: &str, style: Result<ProgressStyle, indicatif::style::TemplateError>) -> ProgressBar {
    let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing.to_owned());
    // The templates above are constants; without one the bar would only look plainer.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
