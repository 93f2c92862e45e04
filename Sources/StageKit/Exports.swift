// What a stage's author needs comes with one import: messages and packets, JSON, endpoints and requests, clock and log.
@_exported import HTTP
@_exported import JSON
@_exported import Registration
@_exported import System
