namespace BioSup.Kernels;

/// <summary>Vertices waiting with a key each, the smallest key first: a heap of four children that knows where every vertex stands, so that a key can be lowered and nothing grows.</summary>
internal unsafe struct VertexQueue
{
    private const int Children = 4;
    private readonly double* _keys;
    private readonly int* _heap, _place;

    /// <param name="memory">16 bytes for every vertex; all vertices are outside the queue afterwards.</param>
    /// <param name="vertices">How many vertices there are.</param>
    public VertexQueue(double* memory, int vertices)
    {
        _keys = memory;
        _heap = (int*)(memory + vertices);
        _place = _heap + vertices;
        new Span<int>(_place, vertices).Fill(-1);
    }

    public int Count { get; private set; }

    /// <summary>Puts a vertex into the queue, or lowers the key it waits with; a key that is not lower changes nothing.</summary>
    public void Lower(int vertex, double key)
    {
        int at = _place[vertex];
        if (at < 0) at = Count++;
        else if (key >= _keys[vertex]) return;
        _keys[vertex] = key;
        while (at > 0)
        {
            int parent = (at - 1) / Children;
            if (_keys[_heap[parent]] <= key) break;
            Place(_heap[parent], at);
            at = parent;
        }
        Place(vertex, at);
    }

    /// <summary>Takes the vertex with the smallest key; the queue must not be empty.</summary>
    public int TakeFirst()
    {
        int first = _heap[0], moved = _heap[--Count], at = 0;
        _place[first] = -1;
        if (Count == 0) return first;
        for (double key = _keys[moved]; ;)
        {
            int child = Children * at + 1, end = Math.Min(child + Children, Count), least = -1;
            for (double below = key; child < end; child++)
                if (_keys[_heap[child]] < below) below = _keys[_heap[least = child]];
            if (least < 0) break;
            Place(_heap[least], at);
            at = least;
        }
        Place(moved, at);
        return first;
    }

    private readonly void Place(int vertex, int at)
    {
        _heap[at] = vertex;
        _place[vertex] = at;
    }
}
