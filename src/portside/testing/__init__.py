"""Tests of protocols and handlers without sockets, ports or sleeping."""
