"""The processes of the graph, one module each: sockets in, a machine of layer 0, sockets out."""
