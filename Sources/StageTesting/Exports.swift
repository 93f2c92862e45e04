// The test of a stage needs one import more than the stage.
@_exported import StageKit
