//! One crew over many inputs: the inputs, their results, and the folder that holds these.
//!
//! The results file is the truth. A line is written in one piece when its input is done, so a key
//! that has a line is done, whatever happens to crew.

pub mod counting;
pub mod engines;
pub mod estimate;
pub mod feed;
pub mod folder;
pub mod input;
pub mod key;
pub mod keys;
pub mod line;
pub mod lines;
pub mod merge;
pub mod part;
pub mod partition;
pub mod pulse;
pub mod read;
pub mod reports;
pub mod results;
pub mod run_file;
pub mod sample;
pub mod sink;
pub mod state;
pub mod status;
pub mod stop;
pub mod survey;
pub mod tally;
pub mod window;
