//! Prints the reference page of filters and handlers: `docs/reference/filters.md`.

fn main() {
    print!("{}", traffic_filter::reference_markdown());
}
