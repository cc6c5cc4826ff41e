extern int sb_handlr;
int sb_handlr;
