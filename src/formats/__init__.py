"""The files of a face data set: records, lists, property, verification sets, folders of photos."""
