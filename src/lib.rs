//! Director: the firmware of a dedicated LVS director.
