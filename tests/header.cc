// As header.c, for C++.
#include HEADER

int main()
{
    return 0;
}
