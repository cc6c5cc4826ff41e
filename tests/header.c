/* Compiled once for each public header: each stands alone. */
#include HEADER

int main(void)
{
    return 0;
}
